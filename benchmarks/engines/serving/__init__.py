"""Scoring servers of one small classifier: POST /invocations takes `{"inputs": [[…], …]}`, answers with predictions."""

"""Rows of features on their way in and out: entity rows, on-demand columns, online answers, skew."""

# What steps of a pipeline run in. Their source does not belong here: each run brings its own.
FROM python:$python-slim
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

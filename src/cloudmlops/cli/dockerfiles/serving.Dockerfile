# The scoring server. It finds its model by the variables that the cloud sets: none belongs here.
FROM python:$python-slim
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
ENTRYPOINT ["python", "-m", "cloudmlops.serving"]

# Without a GPU:  docker build -t parley .
# With a GPU:     docker build -t parley --build-arg GPU=1 --build-arg TORCH_INDEX= .
# Run:            docker run -p 127.0.0.1:7860:7860 -e PARLEY_AUTH=me:secret -v parley:/data -v ./my-documents:/documents:ro parley
#                 (add --gpus all for the GPU)
FROM python:3.12-slim

ARG GPU=
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

RUN apt-get update \
    && apt-get install -y --no-install-recommends make tesseract-ocr \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home parley

WORKDIR /app
COPY Makefile requirements.txt requirements-nodeps.txt requirements-gpu.txt constraints.txt ./
RUN make setup GPU=$GPU TORCH_INDEX=$TORCH_INDEX && rm -rf /root/.cache

COPY . .
RUN mkdir -p /data /documents && chown parley /data
USER parley

# Models are kept beside the index, so that a new container does not load them again.
ENV PARLEY_DATA=/data PARLEY_CORPUS=/documents PARLEY_HOST=0.0.0.0 HF_HOME=/data/huggingface
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD [".venv/bin/python", "scripts/healthy.py"]
CMD [".venv/bin/python", "app.py", "serve"]

# The gateway on its embedded defaults: docker build -t triage-gateway . && docker run -v triage:/data triage-gateway
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev \
    && python -m venv /opt/triage-gateway
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY gateway ./gateway
COPY adapters ./adapters
COPY pipelines ./pipelines
RUN /opt/triage-gateway/bin/pip install -c constraints.txt 'setuptools>=77' \
    && /opt/triage-gateway/bin/pip install -c constraints.txt --no-build-isolation . \
    && /opt/triage-gateway/bin/pip uninstall -y setuptools pip

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 triage \
    && useradd --uid 10001 --gid triage --no-create-home --home-dir /data --shell /usr/sbin/nologin triage \
    && install --directory --owner triage --group triage --mode 0700 /data
COPY --from=build /opt/triage-gateway /opt/triage-gateway
WORKDIR /app
COPY model_repository ./model_repository
COPY config/examples/container.yaml ./config/gateway.yaml
COPY LICENSE NOTICE ./
ENV PATH=/opt/triage-gateway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
VOLUME /data
EXPOSE 8080 11112 2575
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
CMD ["triage-gateway", "serve", "--config", "/app/config/gateway.yaml"]

# One image for every process: web by default, the others by another command (docker-compose.yml).
# The builder has what installing needs; the image that runs has the packages and the code.
FROM python:3.13-slim-bookworm AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

# The environment gets no pip of its own: nothing is ever installed into a running image.
RUN python -m venv --without-pip /opt/venv

WORKDIR /srv/stockpot
# requirements-extras.txt has the clients of Sentry and OpenTelemetry too.
ARG REQUIREMENTS=requirements.txt
# Before the code, so that an edit does not install again. Every archive must have its locked hash.
# Flask-Principal exists as a source archive only, so pip fetches setuptools to build it, here.
COPY requirements*.txt .
RUN pip --python /opt/venv/bin/python install --no-deps --require-hashes \
    --only-binary :all: --no-binary flask-principal -r "$REQUIREMENTS"

# .dockerignore lets nothing else in: no .env, no tests, no history.
COPY . .
# Whoever runs the image cannot write here, so the bytecode must be there already.
RUN /opt/venv/bin/python -m compileall -q .


FROM python:3.13-slim-bookworm

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CONFIG_TYPE=config.ProductionConfig \
    HOST=0.0.0.0 \
    PORT=5000

# The user has a name because Celery asks for it, and USER a number because Kubernetes does.
RUN groupadd --gid 10001 stockpot && \
    useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin stockpot && \
    install -d -o 10001 -g 10001 /srv/stockpot/instance

COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /srv/stockpot /srv/stockpot

WORKDIR /srv/stockpot
USER 10001:10001
EXPOSE 5000

# The process answers only to the names of its site, so the probe must use one of them. A proxy that
# http_proxy names would ask itself for 127.0.0.1.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import config, urllib.request as u; s = config.load(); u.build_opener(u.ProxyHandler({})).open(u.Request(f'http://127.0.0.1:{s.PORT}/healthz', headers={'Host': s.TRUSTED_HOSTS[0].lstrip('.')}), timeout=4)"]

# The web line of Procfile.
CMD ["python", "server.py"]

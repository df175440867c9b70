# One image for every process: web by default, the others by another command (docker-compose.yml).
# The builder has what installing needs; the image that runs has the packages and the code.
FROM python:3.13.16-slim-bookworm AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

# For `strip`: symbols for debuggers are 13 MB. Nothing of it enters the image that runs, so its
# version may be the one that Debian has today.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install --yes --no-install-recommends binutils && \
    rm -rf /var/lib/apt/lists/*

# The environment gets no pip of its own: nothing is ever installed into a running image.
RUN python -m venv --without-pip /opt/venv

WORKDIR /srv/stockpot
# requirements-extras.txt has the clients of Sentry and OpenTelemetry too.
ARG REQUIREMENTS=requirements.txt
# Before the code, so that an edit does not install again. Every archive must have its locked hash.
# Flask-Principal exists as a source archive only, so pip fetches setuptools to build it, here.
COPY requirements*.txt .
RUN pip --python /opt/venv/bin/python install --no-compile --no-deps --require-hashes \
        --only-binary :all: --no-binary flask-principal -r "$REQUIREMENTS" && \
    find /opt/venv -name '*.so*' -type f -exec strip --strip-unneeded {} +

# .dockerignore lets nothing else in: no .env, no tests, no history.
COPY . .
# The bytecode must be there already, because whoever runs the image can write none. The base image
# has none of Python's own library, so each start would spend two seconds on it. All of the code is
# compiled, and of libraries what our processes load: the rest would be 20 MB. Bytecode names the time
# of its source, of which a layer keeps whole seconds only.
ENV PYTHONPYCACHEPREFIX=/opt/bytecode
RUN find /opt/venv . -name '*.py' -exec touch --date=2020-01-01 {} + && \
    /opt/venv/bin/python -m compileall -q . && \
    CONFIG_TYPE=config.TestingConfig /opt/venv/bin/python -c "import application, server, \
        app.health.metrics, app.jobs.metrics, celery.__main__, \
        celery.apps.beat, celery.apps.worker, celery.bin.worker, celery.concurrency.prefork, \
        celery.worker.consumer, celery.worker.pidbox, flask_migrate, kombu.transport.pyamqp, \
        kombu.transport.redis, psycopg.pq, smtplib, urllib.request"


FROM python:3.13.16-slim-bookworm

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/bytecode \
    PYTHONUNBUFFERED=1 \
    CONFIG_TYPE=config.ProductionConfig \
    HOST=0.0.0.0 \
    PORT=5000

# The user has a name because Celery asks for it, and USER a number because Kubernetes does. What is
# written goes to `instance`, which is the only folder the user owns.
RUN groupadd --gid 10001 stockpot && \
    useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin stockpot && \
    install -d -o 10001 -g 10001 /srv/stockpot/instance

COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /opt/bytecode /opt/bytecode
COPY --from=builder /srv/stockpot /srv/stockpot

WORKDIR /srv/stockpot
USER 10001:10001
EXPOSE 5000

# It finds out which process this container runs, and asks the question that is right for it.
HEALTHCHECK --interval=30s --timeout=20s --start-period=30s --retries=3 \
    CMD ["python", "scripts/healthcheck.py"]

# The web line of Procfile.
CMD ["python", "server.py"]

# syntax=docker/dockerfile:1.7
# Runs the stages of MySpinBot: training, speech, portraits, video
#
#   docker build -f deploy/images/runner.Dockerfile --build-arg VARIANT=cpu -t myspinbot/runner:0.1.0-cpu .
#
# Expected size as cpu: 2.8 GB, of which some 125 MB are Debian and Python and 2,668 MB ours, 757 MB of
# it PyTorch (measured by install.sh). As cuda PyTorch takes about 7 GB instead, so 9 GB in all.
# The base is pinned by digest; `docker buildx imagetools inspect python:3.11-slim-bookworm` tells a
# newer one, which every file in this folder is to have.
ARG BASE=python:3.11-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84

FROM ${BASE} AS build
WORKDIR /build
# cuda: PyTorch with CUDA, for machines with an NVIDIA GPU. cpu: without, if TORCH_INDEX is the address
# of PyTorch's index of CPU builds (see its install page); without that address it is the same build
# as for cuda, which computes on processors too but is larger.
ARG VARIANT=cuda
ARG TORCH_INDEX=
ARG TORCH=2.13.0
COPY deploy/images/install.sh .
COPY requirements/build.txt requirements/runner.txt requirements/
COPY contracts contracts
COPY services/gpu-runner services/gpu-runner
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/myspinbot \
    && case "$VARIANT" in cuda) index= ;; cpu) index=$TORCH_INDEX ;; *) echo "VARIANT is cuda or cpu" >&2; exit 2 ;; esac \
    && python -m pip --python /opt/myspinbot/bin/python install --quiet ${index:+--index-url "$index"} "torch==$TORCH"
RUN --mount=type=cache,target=/root/.cache/pip \
    sh install.sh runner /opt/myspinbot contracts services/gpu-runner

FROM ${BASE} AS service
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="myspinbot-runner" \
      org.opencontainers.image.description="Runs the stages of MySpinBot: training, speech, portraits, video" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm"
ARG VARIANT=cuda
LABEL io.myspinbot.variant="${VARIANT}"
RUN groupadd --gid 10001 myspinbot \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/myspinbot --shell /usr/sbin/nologin myspinbot \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/myspinbot
COPY --from=build /opt/myspinbot /opt/myspinbot
ENV PATH=/opt/myspinbot/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/myspinbot
USER 10001:10001
EXPOSE 9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-m", "servicekit.probe", "9100"]
ENTRYPOINT ["myspinbot-gpu-runner"]

# For compose.dev.yml: restarts at each change of the source that is mounted, and a debugger can attach.
FROM service AS debug
USER 0:0
COPY requirements/debug.txt /tmp/debug.txt
# Whatever Debian has now is good enough to work with.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client procps \
    && rm -rf /var/lib/apt/lists/*
RUN python -m pip --python /opt/myspinbot/bin/python install --no-cache-dir --no-deps --require-hashes -r /tmp/debug.txt
USER 10001:10001

FROM service

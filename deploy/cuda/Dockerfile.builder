# The base of the build stage of a CUDA image: the toolkit with cuDNN, and the Rust that the workspace is built with.
ARG CUDA_IMAGE=docker.io/nvidia/cuda:13.0.1-cudnn-devel-ubuntu24.04
FROM ${CUDA_IMAGE}
ARG RUST_VERSION=1.95.0
ARG CUDA_COMPUTE_CAP=80
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates g++ rustup \
    && rm -rf /var/lib/apt/lists/*
# The linker finds the driver's library as a stub: the driver itself is the machine's.
ENV CARGO_HOME=/usr/local/cargo \
    RUSTUP_HOME=/usr/local/rustup \
    CUDA_HOME=/usr/local/cuda \
    CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP} \
    LIBRARY_PATH=/usr/local/cuda/lib64/stubs:/usr/local/cuda/lib64
RUN rustup toolchain install "${RUST_VERSION}" --profile minimal && rustup default "${RUST_VERSION}"

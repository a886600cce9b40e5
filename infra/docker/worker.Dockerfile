# Targets: cpu-worker (control, cpu and the one-shot store-init; no TensorFlow library) and gpu-worker.
# glibc on purpose: the cores of the Temporal SDK, sharp and TensorFlow are built for it.
FROM node:20.19.0-bookworm-slim AS modules
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-fund --no-audit

FROM modules AS engine
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates g++ python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
COPY infra ./infra
# cpu gives an image for machines without a GPU.
ARG ECHOFORGE_DEVICE=gpu
ENV ECHOFORGE_DEVICE=${ECHOFORGE_DEVICE} ECHOFORGE_CACHE=/opt/echoforge
RUN node infra/docker/provide-engine.mjs

FROM node:20.19.0-bookworm-slim AS cpu-worker
ENV NODE_ENV=production
WORKDIR /app
RUN mkdir -p /var/lib/echoforge && chown node:node /var/lib/echoforge
COPY --from=modules /app/node_modules ./node_modules
COPY package.json tsconfig.json LICENSE NOTICE ./
COPY activities ./activities
COPY cli ./cli
COPY contract ./contract
COPY infra ./infra
COPY lib ./lib
COPY workers ./workers
COPY workflows ./workflows
# The user `node` of the image, by number: hosts that demand a non-root user cannot look up its name.
USER 1000:1000
CMD ["node", "--import", "tsx", "workers/cpu.ts"]

FROM cpu-worker AS gpu-worker
# The same path as in the build: the addon finds its library by it.
COPY --from=engine /opt/echoforge/v1/tensorflow /opt/echoforge/v1/tensorflow
COPY --from=engine /app/node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8 ./node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8
CMD ["node", "--import", "tsx", "workers/gpu.ts"]

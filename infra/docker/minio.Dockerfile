# MinIO from its pinned source, because public images of it are no longer published.
# Version and flags are those of infra/setup/versions.json; test/infra/docker.test.ts compares them.
FROM golang:1.25.5-alpine AS build
ENV CGO_ENABLED=0
RUN go install -ldflags "-s -w" github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c

FROM alpine:3.22.2
RUN addgroup -S -g 1000 minio && adduser -S -D -H -u 1000 -G minio minio \
    && mkdir /data && chown minio:minio /data
COPY --from=build /go/bin/minio /usr/local/bin/minio
ENV MINIO_UPDATE=off
USER 1000:1000
VOLUME /data
EXPOSE 9000 9001
ENTRYPOINT ["minio"]
CMD ["server", "--quiet", "--address", ":9000", "--console-address", ":9001", "/data"]

"""The product's version: shown by `/`, the OpenAPI document, images and traces."""

VERSION = "1.0.0"

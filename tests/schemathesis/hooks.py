"""Writes whole numbers as integers: JSON Schema counts 1.0 as an integer, the API does not."""

import schemathesis


@schemathesis.hook
def map_body(context, body):
    return whole(body)


def whole(value):
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    return value

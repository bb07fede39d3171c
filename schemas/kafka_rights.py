"""Rights in Kafka, in the words of ``kafka-acls``."""

from typing import Final

# What a right is on, where it is on no topic and no group.
CLUSTER: Final = "the cluster"


def missing_right(right: str, resource: str) -> str:
    """Return what to say of a right that the Kafka user lacks.

    Args:
        right: the name of the operation in Kafka, such as ``Read``.
        resource: ``topic NAME``, ``group NAME`` or ``CLUSTER``.
    """
    kind, _, name = resource.partition(" ")
    option = "--cluster" if resource == CLUSTER else f"--{kind} {name}"
    return (
        f"the Kafka user of this process needs {right} on {resource}. Give it with: kafka-acls --add --allow-principal "
        f"User:NAME --operation {right} {option}"
    )

"""Prints every committed record of the topics as a line of JSON: what another client sees.

usage: python -c SCRIPT BROKERS TOPIC...   (a topic that does not exist is an error)
"""
import base64
import json
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition


def text(b):
    return None if b is None else base64.b64encode(b).decode()


def main(brokers, *topics):
    consumer = Consumer({
        "bootstrap.servers": brokers, "group.id": "calcdc-oracle", "isolation.level": "read_committed",
        "auto.offset.reset": "earliest", "enable.auto.commit": False, "enable.partition.eof": True,
    })
    known = consumer.list_topics(timeout=20).topics
    partitions = [TopicPartition(t, p, 0) for t in topics for p in known[t].partitions]
    consumer.assign(partitions)
    left = {(p.topic, p.partition) for p in partitions}
    while left:
        message = consumer.poll(30)
        if message is None:
            sys.exit(f"no answer for {sorted(left)}")
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(str(message.error()))
            left.discard((message.topic(), message.partition()))
            continue
        print(json.dumps({
            "topic": message.topic(), "partition": message.partition(), "offset": message.offset(),
            "key": text(message.key()), "value": text(message.value()),
            "headers": {name: (value or b"").decode() for name, value in message.headers() or []},
        }))
    consumer.close()


main(*sys.argv[1:])

"""Addresses of topics, and properties of the client: nothing secret is printed or stored."""

import pytest

from photogenic.ingest.streams.address import Address, read_properties
from photogenic.ingest.streams.topic import Topic
from photogenic.warehouse import InputError


def test_addresses_are_written_in_one_way():
    assert str(Address.of("KAFKA://Broker-1,b2:9093/swipes.v1")) == "kafka://broker-1:9092,b2:9093/swipes.v1"
    assert str(Address.of("kafka://[::1]:9092/t")) == "kafka://[::1]:9092/t"


@pytest.mark.parametrize(
    "uri",
    [
        *("kafka://broker:9092", "kafka://broker:9092/", "kafka:///topic", "kafka://a:0/t", "kafka://a:99999/t"),
        *("kafka://a:9092/t/u", "kafka://a b:9092/t", "http://a:9092/t", "broker:9092/t", "kafka://a/..", ""),
        *("kafka://a:9092/t\n", "kafka://a:9092/" + "x" * 250, "kafka://a:9092/t'; drop table"),
    ],
)
def test_other_addresses_are_refused(uri):
    with pytest.raises(InputError, match="Expected"):
        Address.of(uri)


@pytest.mark.parametrize("uri", ["kafka://ann:geheim@broker:9092/swipes", "http://ann:geheim@broker/x"])
def test_a_password_in_an_address_is_refused_and_not_printed(uri):
    with pytest.raises(InputError) as refused:
        Address.of(uri)
    assert "geheim" not in str(refused.value)


def test_properties_are_read(tmp_path):
    path = tmp_path / "client.properties"
    path.write_text("# a comment\n\nsecurity.protocol = SASL_SSL\nsasl.password=a=b c\n")
    assert read_properties(path) == {"security.protocol": "SASL_SSL", "sasl.password": "a=b c"}
    assert read_properties(None) == {}


@pytest.mark.parametrize(
    "line",
    [
        *("enable.auto.commit=geheim", "auto.offset.reset=geheim", "bootstrap.servers=geheim:9092", "geheim"),
        *("sasl.jaas.config=geheim", "SASL PASSWORD=geheim", "a=1\na=geheim"),
    ],
)
def test_lines_that_cannot_be_used_are_named_without_their_values(tmp_path, line):
    path = tmp_path / "client.properties"
    path.write_text(line)
    with pytest.raises(InputError, match=r"line [12]") as refused:
        read_properties(path)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    "properties", [{"no.such": "geheim"}, {"security.protocol": "geheim"}, {"socket.timeout.ms": "geheim"}]
)
def test_values_that_the_client_refuses_are_not_printed(properties):
    pytest.importorskip("confluent_kafka")
    with pytest.raises(InputError, match="properties of the client") as refused:
        Topic(Address.of("kafka://127.0.0.1:9/t"), properties, "g", print)
    assert "geheim" not in str(refused.value)

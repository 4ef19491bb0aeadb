"""Hosts, topics and names that people write under `[mqtt]`, and what is suggested instead."""

from typing import Any

import pytest

from device.settings.broker import contradictions, doubts, host_mistakes, text_mistakes, topic_mistakes
from device.settings.check import problems


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "homeassistant.local", "küche.local", "192.168.1.2", "broker_1.lan", "a.b.", "::1", "2001:db8::5",
     "fe80::1%eth0", "::ffff:192.168.1.2", "a" * 63 + ".lan", "xn--kche-0ra.local", "pi4"],
)  # fmt: skip
def test_hosts(host: str) -> None:
    assert list(host_mistakes(host)) == []


@pytest.mark.parametrize(
    ("host", "instead"),
    [
        ("192.168.1.2:1883", {"host": "192.168.1.2", "port": 1883}),
        ("pi.local:8883", {"host": "pi.local", "port": 8883}),
        ("pi.local:", {"host": "pi.local"}),
        (" pi.local ", {"host": "pi.local"}),
        ("pi.local\n", {"host": "pi.local"}),
        ("pi.local :1883", {"host": "pi.local", "port": 1883}),
        ("mqtt://pi", {"host": "pi"}),
        ("MQTT://pi:1884/", {"host": "pi", "port": 1884}),
        ("tcp://192.168.1.2:1883", {"host": "192.168.1.2", "port": 1883}),
        ("ssl://pi:8883", {"host": "pi", "port": 8883, "tls": True}),
        ("mqtts://pi", {"host": "pi", "tls": True}),
        ("http://homeassistant.local:8123/", {"host": "homeassistant.local"}),
        ("https://homeassistant.local:8123/lovelace?x", {"host": "homeassistant.local"}),
        ("ws://pi:9001/mqtt", {"host": "pi"}),
        ("pi.local/", {"host": "pi.local"}),
        ("pi.local/mqtt", {"host": "pi.local"}),
        ("lamp@pi", {"host": "pi", "user": "lamp"}),
        ("lamp:secret@pi:1883", {"host": "pi", "port": 1883, "user": "lamp"}),
        ("mqtt://lamp:s/e@cret@pi", {"host": "pi", "user": "lamp"}),
        ("[::1]", {"host": "::1"}),
        ("[::1]:1883", {"host": "::1", "port": 1883}),
        ("mqtt://[fe80::1%25eth0]:1883/", {"host": "fe80::1%eth0", "port": 1883}),
    ],
)
def test_what_contains_a_host_is_refused_with_what_is_probably_meant(host: str, instead: dict[str, Any]) -> None:
    [mistake] = host_mistakes(host)
    assert mistake.instead == instead
    assert mistake.message.startswith("mqtt.host is ")
    assert "secret" not in mistake.message
    assert "cret@" not in mistake.message
    assert list(host_mistakes(instead["host"])) == []
    [problem] = problems({"mqtt": {"host": host}})
    assert problem.fix.startswith(f'write host = "{instead["host"]}"')
    assert list(problems({"mqtt": dict(instead)})) == []


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("a..b", "in which a part between two dots is empty"),
        (".local", "in which a part between two dots is empty"),
        (".", "in which a part between two dots is empty"),
        ("a b", "which cannot be the name of a host"),
        ("-a", "which cannot be the name of a host"),
        ("a,b", "which cannot be the name of a host"),
        ("*", "which cannot be the name of a host"),
        ("a\\b", "which cannot be the name of a host"),
        ("@", "which cannot be the name of a host"),
        ("://", "which cannot be the name of a host"),
        ("mqtt://", "which is a URL"),
        ("a" * 64, "and a name has at most 253 characters, 63 between two dots"),
        (".".join(["abc"] * 80), "and a name has at most 253 characters, 63 between two dots"),
        ("ü" * 64, "and a name has at most 253 characters, 63 between two dots"),
        ("192.168.1", "which is not a complete IPv4 address"),
        ("192.168.1.256", "which is not a complete IPv4 address"),
        ("192.168.001.002", "which is not a complete IPv4 address"),
        ("0x7f000001", "which is not a complete IPv4 address"),
        ("pi:0", "which includes a port that is not from 1 to 65535"),
        ("pi:99999", "which includes a port that is not from 1 to 65535"),
        ("fe80::1", "and the interface is missing"),
        ("caf\udce9", "which is not text in UTF-8"),
        ("a\0b", "which contains a control character"),
        ("a\x1b[31mb", "which contains a control character"),
    ],
)
def test_what_cannot_be_a_host_is_refused(host: str, reason: str) -> None:
    [mistake] = host_mistakes(host)
    assert reason in mistake.message
    assert mistake.message.isprintable()
    assert mistake.fix


@pytest.mark.parametrize("topic", ["edge-mcnn", "home/lamps", "küche/€", "a b/c", "x" * 60_000])
def test_topics(topic: str) -> None:
    assert list(topic_mistakes("mqtt.topic_prefix", topic)) == []


@pytest.mark.parametrize(
    ("topic", "reason", "instead"),
    [
        ("a/#", "and + and # are only for subscriptions", None),
        ("+/a", "and + and # are only for subscriptions", None),
        ("$SYS/a", "and topics that begin with $ belong to the broker itself", None),
        ("/a/b", "which begins with /", "a/b"),
        ("a/b/", "which ends with /", "a/b"),
        ("a//b", "which contains //", "a/b"),
        ("/", "which begins with /", None),
        ("a\0b", "which contains a control character", None),
        ("a\nb", "which contains a control character", None),
        ("a\x9bb", "which contains a control character", None),
        ("caf\udce9", "which is not text in UTF-8", None),
        ("€" * 22_000, "which has 66000 bytes, and a topic may have 65279", None),
    ],
)
def test_what_cannot_be_a_topic_is_refused(topic: str, reason: str, instead: str | None) -> None:
    [mistake] = topic_mistakes("mqtt.topic_prefix", topic)
    assert mistake.message.endswith(reason)
    assert mistake.message.isprintable()
    assert mistake.instead.get("topic_prefix") == instead


def test_names_of_users_and_devices() -> None:
    assert list(text_mistakes("mqtt.device", "Küche 2 💡")) == []
    for name, value, reason in (
        ("mqtt.user", "a\nb", "which contains a control character"),
        ("mqtt.device", "caf\udce9", "which is not text in UTF-8"),
        ("mqtt.device", "x" * 129, "which has 129 characters, and a device name may have 128"),
    ):
        [mistake] = text_mistakes(name, value)
        assert mistake.message.endswith(reason)
        assert mistake.fix.startswith(f"set {name} to ")


@pytest.mark.parametrize(
    ("table", "key", "fix"),
    [
        ({"password_file": "/p"}, "password_file", "set mqtt.user to the user of that password"),
        ({"ca_file": "/c"}, "ca_file", "set mqtt.tls to true, or remove mqtt.ca_file"),
    ],
)
def test_settings_that_exclude_each_other(table: dict[str, Any], key: str, fix: str) -> None:
    [problem] = problems({"mqtt": {"host": "pi", **table}})
    assert (problem.key, problem.fix) == (("mqtt", key), fix)
    assert list(contradictions(table)) == [], "without a host nothing is published"
    assert list(contradictions({"host": "pi", "user": "u", "tls": True, **table})) == []


def test_ports_that_are_usual_for_the_other_kind_of_connection() -> None:
    def keys(**table: Any) -> list[str]:
        return [each.key for each in doubts(table)]

    assert keys(host="pi", tls=True, port=1883) == keys(host="pi", port=8883) == ["port"]
    assert keys(host="pi", tls=True, port=8883) == keys(host="pi", port=1883) == keys(host="pi") == []
    assert keys(tls=True, port=1883) == []


@pytest.mark.parametrize("port", [-1, 65_536, 1883.0, "1883", True])
def test_ports_that_do_not_exist(port: object) -> None:
    [problem] = problems({"mqtt": {"port": port}})
    assert problem.message.endswith("expected a whole number from 0 to 65535")

"""Who may speak to whom on Kubernetes: what the policies say, and the ingress."""

from __future__ import annotations

from tests.support.kubernetes import Object, matches, name_of, of, templates

CLIENTS = {"gateway", "planner", "projector", "runner", "notary", "streams"}


def reaches(
    objects: list[Object], source: dict[str, str], target: dict[str, str], port: int
) -> bool:
    """Whether policies let pods with these labels connect, as both sides must allow it."""
    policies = [item["spec"] for item in of(objects, "NetworkPolicy")]

    def allowed(direction: str, subject: dict[str, str], peer: dict[str, str]) -> bool:
        ruled = [
            each
            for each in policies
            if direction.title() in each["policyTypes"] and matches(each["podSelector"], subject)
        ]
        key = "from" if direction == "ingress" else "to"
        return not ruled or any(
            any(
                "podSelector" in each
                and "namespaceSelector" not in each
                and matches(each["podSelector"], peer)
                for each in rule[key]
            )
            and any(each["port"] == port for each in rule["ports"])
            for policy in ruled
            for rule in policy.get(direction, ())
        )

    return allowed("egress", source, target) and allowed("ingress", target, source)


PORTS = (4222, 6222, 8222, 5432, 8080, 9100)


def test_pods_reach_what_the_architecture_says_and_nothing_else(objects: list[Object]) -> None:
    pods = {name_of(each): each["metadata"]["labels"] for _, each in templates(objects)}
    clustered = any(of(objects, "Cluster"))
    expected = {(service, "nats", 4222) for service in CLIENTS} | {("nats", "nats", 6222)}
    if clustered:
        pods["postgres"] = {"cnpg.io/cluster": "postgres"}
        expected |= {("projector", "postgres", 5432), ("postgres", "postgres", 5432)}
    found = {
        (source, target, port)
        for source in pods
        for target in pods
        for port in PORTS
        if reaches(objects, pods[source], pods[target], port)
    }
    assert found == expected


def test_nobody_else_may_come_in_but_the_ingress_and_those_who_watch(objects: list[Object]) -> None:
    outside: dict[str, set[int]] = {}
    for item in of(objects, "NetworkPolicy"):
        for rule in item["spec"].get("ingress", ()):
            for peer in rule["from"]:
                selector = peer.get("namespaceSelector")
                if selector is None:
                    continue
                names = selector.get("matchLabels", {}).values() or [
                    value for each in selector["matchExpressions"] for value in each["values"]
                ]
                for name in names:
                    outside.setdefault(name, set()).update(each["port"] for each in rule["ports"])
    assert outside.keys() <= {"traefik", "monitoring", "keda", "cnpg-system"}
    assert outside["traefik"] == {8080}
    assert outside["keda"] == {8222}


def test_the_ingress_leads_to_the_gateway_over_tls(objects: list[Object]) -> None:
    (ingress,) = of(objects, "Ingress")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": "gateway", "port": {"name": "http"}}
    assert rule["host"] in ingress["spec"]["tls"][0]["hosts"]

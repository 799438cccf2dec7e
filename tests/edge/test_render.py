"""The rendered bootstrap: what `envoy --mode validate` does not see."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from services.gateway.edge.__main__ import variables_from
from services.gateway.edge.descriptors import edge_descriptors
from services.gateway.edge.render import render, write_config
from services.gateway.edge.routes import endpoint_list, path_regex
from services.gateway.rpcs import load_contract
from shared.errors import ERROR_WORD_NUMBERS

ADDRESSES = {feature.upper(): f"{feature}-api:50051" for feature in load_contract().features}
RETRY_WORDS = {"connect-failure", "refused-stream", "reset", "reset-before-request", "unavailable"}


def bootstrap(**variables: str):
    return yaml.safe_load(render({**ADDRESSES, "DESCRIPTORS": "/edge.binpb", **variables}))


def manager(config):
    [chain] = config["static_resources"]["listeners"][0]["filter_chains"]
    return chain["filters"][0]["typed_config"]


def virtual_host(config):
    [host] = manager(config)["route_config"]["virtual_hosts"]
    return host


@pytest.mark.parametrize("variables", [{}, {"MEDIA": "127.0.0.1:9"}])
def test_every_route_names_a_cluster_and_filters_that_exist(variables):
    config = bootstrap(**variables)
    clusters = {cluster["name"] for cluster in config["static_resources"]["clusters"]}
    filters = {one["name"] for one in manager(config)["http_filters"]}
    host = virtual_host(config)
    assert {entry["route"]["cluster"] for entry in host["routes"] if "route" in entry} == clusters | {"none"}
    for holder in (host, *host["routes"]):
        assert set(holder.get("typed_per_filter_config", {})) <= filters
        for policy in (holder.get("retry_policy"), holder.get("route", {}).get("retry_policy")):
            assert policy is None or set(policy["retry_on"].split(",")) <= RETRY_WORDS


def test_every_rpc_has_a_route_of_its_kind():
    routes = {route["match"].get("path"): route.get("route") for route in virtual_host(bootstrap())["routes"]}
    for rpc in load_contract().rpcs:
        route = routes[rpc.grpc_path]
        assert route["cluster"] == rpc.feature
        assert (route["timeout"] == "0s") == rpc.is_stream
        judges_itself = rpc.name == "GetHealth"  # "unavailable" is an answer there
        assert ("retry_policy" in route) == (rpc.is_read and not rpc.is_stream and not judges_itself)
    assert "retry_policy" not in routes["/lastframe.frames.v1.FramesService/ExtractLastFrame"]


def test_health_is_asked_for_by_the_full_name_of_a_service():
    for cluster in bootstrap()["static_resources"]["clusters"]:
        [check] = cluster["health_checks"]
        assert check["grpc_health_check"]["service_name"] in load_contract().services
        assert cluster["common_lb_config"]["healthy_panic_threshold"] == {"value": 0}


def test_without_a_media_server_there_is_no_media():
    config = bootstrap()
    assert "media_files" not in {cluster["name"] for cluster in config["static_resources"]["clusters"]}
    assert not [route for route in virtual_host(config)["routes"] if "media" in str(route["match"])]


def test_variables_reach_their_places_and_defaults_fill_the_rest():
    config = bootstrap(PORT="1234", LISTEN="0.0.0.0", SUBMIT_TIMEOUT="3s", MAX_BODY_BYTES="77")
    assert config["static_resources"]["listeners"][0]["address"]["socket_address"] == {
        "address": "0.0.0.0",
        "port_value": 1234,
    }
    text = render({**ADDRESSES, "DESCRIPTORS": "/edge.binpb", "SUBMIT_TIMEOUT": "3s"})
    assert "timeout: 3s" in text
    assert "timeout: 10s" in text  # reads
    assert "${" not in text


def test_a_missing_or_malformed_address_is_named():
    with pytest.raises(ValueError, match="the variable TASKS"):
        render({"DESCRIPTORS": "x"})
    with pytest.raises(ValueError, match="host:port"):
        bootstrap(FRAMES="frames")


def test_addresses_may_be_several_and_ipv6():
    first, second = endpoint_list("a:1, [::1]:2")
    assert first["endpoint"]["address"]["socket_address"] == {"address": "a", "port_value": 1}
    assert second["endpoint"]["address"]["socket_address"] == {"address": "::1", "port_value": 2}


def test_path_templates_become_patterns():
    assert re.fullmatch(path_regex("/api/v1/status/{task_id}"), "/api/v1/status/abc/")
    assert not re.fullmatch(path_regex("/api/v1/status/{task_id}"), "/api/v1/status/a/b")
    assert re.fullmatch(path_regex("/openapi.json"), "/openapi.json")
    assert not re.fullmatch(path_regex("/openapi.json"), "/openapixjson")
    assert not re.fullmatch(path_regex("/"), "//")


def test_the_descriptors_are_whole_and_carry_the_table_of_words():
    files = FileDescriptorSet.FromString(edge_descriptors(load_contract()))
    pool = DescriptorPool()
    for file in files.file:  # raises where an import comes after its importer
        pool.Add(file)
        pool.FindFileByName(file.name)
    kinds = pool.FindEnumTypeByName("google.rpc.Status.Kind").values_by_name
    assert {word: kinds[word].number for word in kinds if word != "ok"} == ERROR_WORD_NUMBERS
    fields = pool.FindMessageTypeByName("google.rpc.Status").fields_by_name
    numbers = {name: fields[name].number for name in fields}
    assert numbers == {"error": 1, "detail": 2, "status": 4, "timestamp": 5, "services": 6, "since": 7}


def test_the_files_are_written_side_by_side(tmp_path: Path):
    config = write_config(tmp_path / "new", ADDRESSES)
    assert str(tmp_path / "new" / "edge.binpb") in config.read_text()
    assert (tmp_path / "new" / "edge.binpb").stat().st_size > 10_000


def test_the_environment_names_variables_with_a_prefix():
    found = variables_from({"EDGE_FRAMES": "f:1", "LASTFRAME_PORT": "8080", "PATH": "/bin", "EDGE_LISTEN": "::"})
    assert found == {"FRAMES": "f:1", "PORT": "8080", "LISTEN": "::", "ACCESS_LOG": "/dev/stdout"}

"""Tables as they are made, changed and removed, and the instances they are in."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from google.api_core.exceptions import NotFound

INSTANCE = "projects/test/instances/flights"


def test_a_table_is_described_listed_and_gone_once_deleted(bigtable, refused):
    made = bigtable.admin.create_table(
        parent="projects/test/instances/listing",
        table_id="weather",
        table={"column_families": {"f": {"gc_rule": {"max_num_versions": 3}}}},
    )

    assert made.name == "projects/test/instances/listing/tables/weather"
    found = bigtable.admin.get_table(name=made.name)
    assert found.column_families["f"].gc_rule.max_num_versions == 3
    assert [table.name for table in bigtable.admin.list_tables(parent="projects/test/instances/listing")] == [made.name]
    with refused("ALREADY_EXISTS"):
        bigtable.admin.create_table(parent="projects/test/instances/listing", table_id="weather", table={})

    bigtable.admin.delete_table(name=made.name)

    assert not list(bigtable.admin.list_tables(parent="projects/test/instances/listing"))
    for act in (bigtable.admin.get_table, bigtable.admin.delete_table):
        with refused("NOT_FOUND"):
            act(name=made.name)


def test_a_protected_table_is_not_deleted(bigtable, refused):
    made = bigtable.admin.create_table(parent=INSTANCE, table_id="protected", table={"deletion_protection": True})
    with refused("FAILED_PRECONDITION"):
        bigtable.admin.delete_table(name=made.name)

    bigtable.admin.update_table(
        table={"name": made.name, "deletion_protection": False}, update_mask={"paths": ["deletion_protection"]}
    ).result()

    bigtable.admin.delete_table(name=made.name)


def test_a_dropped_family_takes_its_cells_with_it(bigtable, refused):
    table = bigtable.table(f={}, g={})
    bigtable.put(table, b"both", ("f", b"", 1, b"f"), ("g", b"", 1, b"g"))
    bigtable.put(table, b"one", ("g", b"", 1, b"g"))

    changed = bigtable.admin.modify_column_families(
        name=table, modifications=[{"id": "g", "drop": True}, {"id": "h", "create": {}}]
    )
    assert set(changed.column_families) == {"f", "h"}
    assert bigtable.read(table) == [(b"both", [("f", b"", 1, b"f", ())])]

    with refused("ALREADY_EXISTS"):
        bigtable.admin.modify_column_families(name=table, modifications=[{"id": "f", "create": {}}])


def test_rows_are_dropped_by_prefix_and_all(bigtable, refused):
    table = bigtable.table()
    for key in (b"a", b"a\xff", b"a\xff\xff", b"b"):
        bigtable.put(table, key, ("f", b"", 1, b""))

    bigtable.admin.drop_row_range({"name": table, "row_key_prefix": b"a\xff"})
    assert [key for key, _ in bigtable.read(table)] == [b"a", b"b"]

    bigtable.admin.drop_row_range({"name": table, "delete_all_data_from_table": True})
    assert bigtable.read(table) == []
    with refused("NOT_FOUND"):
        bigtable.admin.drop_row_range({"name": f"{table}-none", "delete_all_data_from_table": True})


def test_what_was_written_before_a_token_can_be_read_everywhere(bigtable, refused):
    table = bigtable.table()
    token = bigtable.admin.generate_consistency_token(name=table).consistency_token

    assert bigtable.admin.check_consistency(name=table, consistency_token=token).consistent
    with refused("INVALID_ARGUMENT"):
        bigtable.admin.check_consistency(name=table, consistency_token="another")


class TestAsTheServiceDoes:
    """Google's emulator takes it, has no instances, or answers UNKNOWN."""

    @pytest.fixture
    def bigtable(self, ours):
        return ours

    @pytest.mark.parametrize(
        "asked",
        [
            {"table_id": "no spaces", "table": {}},
            {"table_id": "t" * 51, "table": {}},
            {"table_id": "t", "table": {"column_families": {"no spaces": {}}}},
            {"table_id": "t", "table": {"column_families": {"f": {"gc_rule": {"max_num_versions": -1}}}}},
            {"table_id": "t", "table": {"column_families": {"f": {"gc_rule": {"union": {}}}}}},
            {"table_id": "t", "table": {"column_families": {"f": {"gc_rule": {"max_age": timedelta(0)}}}}},
            {"table_id": "t", "table": {}, "initial_splits": [{"key": b""}]},
        ],
        ids=["id", "long-id", "family", "versions", "union", "age", "split"],
    )
    def test_a_definition_outside_the_rules_is_refused(self, bigtable, refused, asked):
        with refused("INVALID_ARGUMENT"):
            bigtable.admin.create_table({"parent": INSTANCE, **asked})

    def test_modifications_are_made_all_or_none(self, bigtable, refused):
        table = bigtable.table(f={})
        bigtable.put(table, b"r", ("f", b"", 1, b""))

        with refused("NOT_FOUND"):
            bigtable.admin.modify_column_families(
                name=table, modifications=[{"id": "f", "drop": True}, {"id": "none", "drop": True}]
            )

        assert bigtable.read(table)

    def test_split_keys_are_sampled(self, bigtable):
        table = bigtable.admin.create_table(
            {"parent": INSTANCE, "table_id": "split", "table": {}, "initial_splits": [{"key": b"m"}, {"key": b"c"}]}
        )

        samples = bigtable.data.sample_row_keys(table_name=table.name)

        assert [sample.row_key for sample in samples] == [b"c", b"m", b""]

    @pytest.mark.parametrize("field", ["change_stream_config", "automated_backup_policy"])
    def test_what_of_a_table_is_not_emulated_is_named(self, bigtable, refused, field):
        value = {"retention_period" if field == "change_stream_config" else "frequency": timedelta(days=2)}
        with refused("UNIMPLEMENTED") as caught:
            bigtable.admin.create_table({"parent": INSTANCE, "table_id": "t", "table": {field: value}})
        assert field in str(caught.value)

    def test_an_instance_is_made_described_changed_and_removed_with_its_tables(self, bigtable, refused):
        admin, name = bigtable.instances, "projects/test/instances/wholly"
        cluster = {"location": "projects/test/locations/us-east1-b", "serve_nodes": 3}
        asked = {"parent": "projects/test", "instance_id": "wholly", "instance": {"display_name": "Flights"}}
        asked["clusters"] = {"wholly-c1": cluster}

        assert admin.create_instance(asked).result().name == name
        with refused("ALREADY_EXISTS"):
            admin.create_instance(asked)
        assert admin.get_instance(name=name).state.name == "READY"
        assert admin.get_cluster(name=f"{name}/clusters/wholly-c1").serve_nodes == 3
        assert (
            admin.get_app_profile(name=f"{name}/appProfiles/default").single_cluster_routing.cluster_id == "wholly-c1"
        )

        second = {"parent": name, "cluster_id": "wholly-c2", "cluster": cluster}
        assert admin.create_cluster(second).result().state.name == "READY"
        assert len(admin.list_clusters(parent="projects/test/instances/-").clusters) == 2
        admin.delete_cluster(name=f"{name}/clusters/wholly-c2")

        mask = {"paths": ["display_name", "labels"]}
        change = {"name": name, "display_name": "Late", "labels": {"a": "b"}}
        admin.partial_update_instance(instance=change, update_mask=mask).result()
        (listed,) = [each for each in admin.list_instances(parent="projects/test").instances if each.name == name]
        assert (listed.display_name, dict(listed.labels), listed.type_.name) == ("Late", {"a": "b"}, "PRODUCTION")

        profile = {"multi_cluster_routing_use_any": {}, "description": "reads"}
        admin.create_app_profile(parent=name, app_profile_id="reads", app_profile=profile)
        change = {"name": f"{name}/appProfiles/reads", "description": "all reads"}
        changed = admin.update_app_profile(app_profile=change, update_mask={"paths": ["description"]}).result()
        assert "multi_cluster_routing_use_any" in changed
        assert sorted(each.description for each in admin.list_app_profiles(parent=name)) == ["", "all reads"]

        table = bigtable.admin.create_table(parent=name, table_id="t", table={})
        assert bigtable.read(table.name, app_profile_id="reads") == []
        with refused("NOT_FOUND"):
            bigtable.read(table.name, app_profile_id="none")
        rules = [{"family_name": "f", "append_value": b"v"}]
        with refused("FAILED_PRECONDITION"):
            bigtable.data.read_modify_write_row(
                {"table_name": table.name, "app_profile_id": "reads", "row_key": b"r", "rules": rules}
            )
        shown = bigtable.admin.get_table({"name": table.name, "view": "REPLICATION_VIEW"})
        assert shown.cluster_states["wholly-c1"].replication_state.name == "READY"
        admin.delete_instance(name=name)
        with refused("NOT_FOUND"):
            bigtable.admin.get_table(name=table.name)
        with refused("NOT_FOUND"):
            admin.get_cluster(name=f"{name}/clusters/wholly-c1")

    def test_an_administration_that_is_not_emulated_names_itself(self, bigtable, refused):
        with refused("UNIMPLEMENTED") as caught:
            bigtable.admin.create_backup(parent=f"{INSTANCE}/clusters/c", backup_id="b", backup={})
        assert "BigtableTableAdmin/CreateBackup" in str(caught.value)


def test_an_instance_that_many_remove_at_once_is_removed_by_one(ours):
    def remove(name):
        try:
            ours.instances.delete_instance(name=name)
        except NotFound:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        for number in range(20):
            name = f"projects/test/instances/many-{number}"
            ours.instances.create_instance(
                parent="projects/test",
                instance_id=f"many-{number}",
                instance={"display_name": "Many"},
                clusters={"one-c1": {"location": "projects/test/locations/europe-west4-a", "serve_nodes": 1}},
            ).result()
            assert sum(threads.map(remove, [name] * 4)) == 1


def test_no_row_is_left_of_a_table_that_was_removed_while_rows_were_written(ours):
    def write(table, key):
        try:
            ours.put(table, key, ("f", b"", 1, b"v"))
        except NotFound:
            return

    kept = ours.surroundings.state.table("bigtable_rows")
    with ThreadPoolExecutor(5) as threads:
        for _ in range(20):
            table = ours.table()
            going = [threads.submit(write, table, b"%d" % number) for number in range(12)]
            threads.submit(ours.admin.delete_table, name=table).result()
            for one in going:
                one.result()
            assert kept.items(f"{table} ") == []

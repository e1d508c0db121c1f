"""What compiled programs send, read off their text."""

import jax
import jax.numpy as jnp
import pytest

from jaxnn.training.planning.traffic import Collective, collectives, traffic

spec = jax.ShapeDtypeStruct


def test_the_two_halves_of_a_collective_count_once():
    program = """HloModule jit_step, is_scheduled=true
ENTRY %main (p: f32[8]) -> f32[8] {
  %gather = (f32[1]{0}, f32[8]{0}) all-gather-start(%p), dimensions={0}
  %gathered = f32[8]{0} all-gather-done(%gather)
  %all_to_all.5 = bf16[2]{0:T(8,128)(2,1)S(1)} all-to-all(%gathered), dimensions={0}
  %all-reduce.1 = (f32[8]{0:T(256)S(1)}, f32[]) all-reduce(%gathered, %b), to_apply=%add
  %sum = f32[8]{0} get-tuple-element(%all-reduce.1), index=0
  %moved = (f32[8]{0}, f32[8]{0}, u32[]) collective-permute-start(%sum)
  ROOT %done = f32[8]{0} collective-permute-done(%moved), metadata={op_name="all-gather(x)"}
}
"""
    assert collectives(program) == {
        "all-gather": 1,
        "all-reduce": 1,
        "all-to-all": 1,
        "collective-permute": 1,
    }


def test_an_all_reduce_inside_a_fused_reduce_scatter_is_a_reduce_scatter():
    program = """HloModule jit_step

%all-reduce-scatter.1 (input: f32[8,8]) -> f32[1,8] {
  %input = f32[8,8]{1,0} parameter(0)
  %all-reduce.9 = f32[8,8]{1,0:T(8,128)} all-reduce(%input), to_apply=%add
  ROOT %slice = f32[1,8]{1,0} dynamic-slice(%all-reduce.9, %i, %zero)
}

ENTRY %main (p: f32[8,8]) -> f32[1,8] {
  %all-reduce.2 = f32[]{:T(128)} all-reduce(%loss), to_apply=%add
  ROOT %fusion = f32[1,8]{1,0} fusion(%p), kind=kCustom, calls=%all-reduce-scatter.1
}
"""
    assert collectives(program) == {"all-reduce": 1, "reduce-scatter": 1}


def test_a_collective_spread_over_a_chain_of_fusions_counts_once():
    program = """HloModule jit_step

%fused_computation.1 (p: bf16[1,8]) -> (bf16[8,8]) {
  %all-gather.1 = bf16[8,8]{1,0} all-gather(%p), channel_id=5, dimensions={0}
  ROOT %start = (bf16[8,8]) custom-call(%all-gather.1), custom_call_target="AsyncCollectiveStart"
}

%async_collective_fusion.2 (p: bf16[1,8], q: f32[8]) -> (bf16[8,8]) {
  %all-gather.2 = bf16[8,8]{1,0} all-gather(%p), channel_id=5, dimensions={0}
  ROOT %tuple = (bf16[8,8]) tuple(%all-gather.2)
}

%fused_computation.3 (p: bf16[1,8]) -> bf16[8,8] {
  %all-gather.3 = bf16[8,8]{1,0} all-gather(%p), channel_id=5, dimensions={0}
  ROOT %done = bf16[8,8] custom-call(%all-gather.3), custom_call_target="AsyncCollectiveDone"
}
"""
    assert collectives(program) == {"all-gather": 1}


@pytest.mark.parametrize(("devices", "counts"), [(8, {"all-reduce": 1}), (1, {})])
def test_a_mean_over_rows_is_one_all_reduce_only_among_several_devices(devices, counts):
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.NamedSharding(mesh, jax.P("data"))
    compiled = jax.jit(lambda x: x.mean(), in_shardings=rows).lower(spec((8,), jnp.float32))
    assert collectives(compiled.compile().as_text() or "") == counts


LOOP = """HloModule jit_step

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%body (p: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %whole = bf16[8,4]{1,0} all-gather(%part), replica_groups={{0,1},{2,3}}, dimensions={0}
  ROOT %next = (s32[], f32[8,4]) tuple(%i, %whole)
}

%condition (p: (s32[], f32[8,4])) -> pred[] {
  %length = s32[]{:T(128)} constant(7)
  ROOT %less = pred[]{:T(512)} compare(%i, %length), direction=LT
}

ENTRY %main (p: f32[8,4]) -> f32[8,4] {
  %loop = (s32[], f32[8,4]) while(%start), condition=%condition, body=%body
  ROOT %sum = f32[8,4]{1,0} all-reduce(%y), replica_groups=[2,2]<=[2,2]T(1,0), to_apply=%add
}
"""


def test_a_collective_in_a_loop_runs_in_every_iteration():
    (sums, gathers), lost = traffic(LOOP, 4)[0][::-1], traffic(LOOP, 4)[1]
    assert gathers == Collective("all-gather", 7, 7 * 64, 7 * 32, False, True)
    assert sums == Collective("all-reduce", 1, 128, 128, False, False)
    assert lost == 0


def test_the_length_that_a_compiler_writes_beside_a_loop_counts():
    told = LOOP.replace("body=%body", 'body=%body, backend_config={"known_trip_count":{"n":"3"}}')
    assert traffic(told, 4)[0][0].times == 3


def test_a_loop_of_unknown_length_counts_once_and_is_counted_as_lost():
    found, lost = traffic(LOOP.replace("constant(7)", "parameter(0)"), 4)
    assert (found[0].times, lost) == (1, 1)


def test_groups_that_join_places_cross_them():
    found, _ = traffic(LOOP, 4, lambda position: position // 2)
    assert [(each.kind, each.crosses) for each in found] == [
        ("all-gather", False),
        ("all-reduce", True),  # its groups are 0 and 2, 1 and 3
    ]


def test_groups_by_the_axes_of_a_mesh_are_read():
    named = "replica_groups=mesh['a'=2,'b'=2] {'a'}"
    found, _ = traffic(
        LOOP.replace("replica_groups=[2,2]<=[2,2]T(1,0)", named), 4, lambda i: i // 2
    )
    assert found[1].crosses
    inner = named.replace("{'a'}", "{'b'}")
    found, _ = traffic(
        LOOP.replace("replica_groups=[2,2]<=[2,2]T(1,0)", inner), 4, lambda i: i // 2
    )
    assert not found[1].crosses


def test_what_a_host_sends_between_slices_crosses_them():
    program = """HloModule jit_step

ENTRY %main (p: f32[8]) -> f32[8] {
  %sent = (f32[8]{0}, u32[], token[]) send(%p), frontend_attributes={rendezvous="all-reduce.5_0"}
  %came = (f32[8]{0}, u32[], token[]) recv(%t), frontend_attributes={rendezvous="all-reduce.5_0"}
}
"""
    ((kind, times, size, _, crosses, _),), _ = traffic(program, 8)
    assert (kind, times, size, crosses) == ("all-reduce", 1, 32, True)


def test_a_scan_on_eight_devices_sums_in_each_iteration():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.NamedSharding(mesh, jax.P(None, "data"))

    def step(x):
        return jax.lax.scan(lambda total, row: (total + row.sum(), None), 0.0, x)[0]

    compiled = jax.jit(step, in_shardings=rows).lower(spec((5, 16), jnp.float32)).compile()
    found, lost = traffic(compiled.as_text() or "", 8)
    assert lost == 0
    assert sum(each.times for each in found if each.kind == "all-reduce") in (1, 5)

// SPDX-License-Identifier: Apache-2.0
// Property: the mesh puts ranks where semantics say (pp, dp_replicate, dp_shard, cp, tp, tp ranks neighbours), and
// every group holds exactly the ranks that differ in the group's dimensions. Oracle: coordinates computed by nested
// counting, and members found by comparing the coordinates of all ranks. Tolerance: none.
#include "mesh/mesh.h"
#include "mpi_test.h"

#include <string.h>

static void dp_shard_takes_what_is_left_over(void **state) {
  (void)state;
  titan_mesh_degrees degrees = {.pp = 2, .dp_replicate = 2, .dp_shard = -1, .cp = 1, .tp = 4};
  assert_int_equal(titan_mesh_resolve(&degrees, 64), TITAN_OK);
  assert_int_equal(degrees.dp_shard, 4);
  degrees = (titan_mesh_degrees){1, 1, -1, 1, 1};
  assert_int_equal(titan_mesh_resolve(&degrees, 1), TITAN_OK);
  assert_int_equal(degrees.dp_shard, 1);
  degrees = (titan_mesh_degrees){1, 2, 4, 1, 1};
  assert_int_equal(titan_mesh_resolve(&degrees, 8), TITAN_OK);
}

static void degrees_that_do_not_multiply_are_refused(void **state) {
  (void)state;
  titan_mesh_degrees degrees = {.pp = 1, .dp_replicate = 2, .dp_shard = 3, .cp = 1, .tp = 1};
  assert_int_equal(titan_mesh_resolve(&degrees, 8), TITAN_ERROR_USAGE);
  assert_string_equal(titan_error_message(),
                      "Invalid parallel dims: dp_replicate(2) * dp_shard(3) * cp(1) * tp(1) * pp(1) != WORLD_SIZE(8)");
  degrees = (titan_mesh_degrees){.pp = 1, .dp_replicate = 3, .dp_shard = -1, .cp = 1, .tp = 1};
  assert_int_equal(titan_mesh_resolve(&degrees, 8), TITAN_ERROR_USAGE);
  const char *expected =
      "Invalid parallel dims: dp_replicate(3) * dp_shard(-1) * cp(1) * tp(1) * pp(1) != WORLD_SIZE(8)";
  assert_memory_equal(titan_error_message(), expected, strlen(expected));
  assert_int_equal(degrees.dp_shard, -1);
  degrees = (titan_mesh_degrees){.pp = 4, .dp_replicate = 4, .dp_shard = -1, .cp = 1, .tp = 1};
  assert_int_equal(titan_mesh_resolve(&degrees, 8), TITAN_ERROR_USAGE);
  // Products beyond 64 bits.
  degrees = (titan_mesh_degrees){2147483647, 2147483647, 2147483647, 2147483647, 2147483647};
  assert_int_equal(titan_mesh_resolve(&degrees, 8), TITAN_ERROR_USAGE);
}

static void degrees_below_one_are_named(void **state) {
  (void)state;
  const struct {
    titan_mesh_degrees degrees;
    const char *name;
  } cases[] = {{{0, 1, 1, 1, 1}, "pp is 0"},       {{1, -1, 1, 1, 1}, "dp_replicate is -1"},
               {{1, 1, 0, 1, 1}, "dp_shard is 0"}, {{1, 1, -2, 1, 1}, "dp_shard is -2"},
               {{1, 1, -1, -3, 1}, "cp is -3"},    {{1, 1, -1, 1, 0}, "tp is 0"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    titan_mesh_degrees degrees = cases[i].degrees;
    assert_int_equal(titan_mesh_resolve(&degrees, 4), TITAN_ERROR_USAGE);
    assert_non_null(strstr(titan_error_message(), cases[i].name));
  }
}

// Coordinates of every rank, by counting with the last dimension fastest.
static void count_coordinates(const int degrees[5], int rank, int out[5]) {
  int r = 0, c[5];
  for (c[0] = 0; c[0] < degrees[0]; c[0]++)
    for (c[1] = 0; c[1] < degrees[1]; c[1]++)
      for (c[2] = 0; c[2] < degrees[2]; c[2]++)
        for (c[3] = 0; c[3] < degrees[3]; c[3]++)
          for (c[4] = 0; c[4] < degrees[4]; c[4]++)
            if (r++ == rank)
              memcpy(out, c, sizeof c);
}

static void check_group(const titan_mesh *mesh, titan_mesh_rows rows, const char *name, const char *spanned) {
  int size = test_size(), members = 0, own = -1, mine[5], other[5];
  int64_t expected = 0, sum = 0, rank = test_rank();
  count_coordinates(mesh->degrees, test_rank(), mine);
  for (int r = 0; r < size; r++) {
    count_coordinates(mesh->degrees, r, other);
    bool member = true;
    for (int d = 0; d < 5; d++)
      member = member && (other[d] == mine[d] || strchr(spanned, '0' + d) != NULL);
    if (r == test_rank())
      own = members;
    if (member)
      expected += ((int64_t)r + 1) * ++members;
  }
  titan_comm *comm = titan_mesh_comm(mesh, rows);
  expect_on_all(titan_comm_size(comm) == members && titan_comm_rank(comm) == own);
  expect_on_all(titan_mesh_degree(mesh, rows) == members && titan_mesh_coordinate(mesh, rows) == own);
  expect_on_all(strcmp(titan_comm_name(comm), name) == 0);
  int64_t weighted = (rank + 1) * (titan_comm_rank(comm) + 1);
  expect_on_all(titan_comm_all_reduce(comm, &weighted, &sum, 1, TITAN_INT64, TITAN_SUM, NULL) == TITAN_OK);
  expect_on_all(sum == expected);
}

// The stand-in for this rank's mesh has its groups, as long as all ranks lie on one node, and takes as many bytes less
// what real groups reserve.
static void check_fake(titan_mesh_degrees degrees, const titan_mesh *mesh) {
  titan_mesh *fake = NULL;
  expect_on_all(titan_mesh_create_fake(degrees, test_rank(), test_size(), &fake) == TITAN_OK);
  bool alike = memcmp(fake->coordinates, mesh->coordinates, sizeof mesh->coordinates) == 0 &&
               titan_mesh_nodes_key(fake) == titan_mesh_nodes_key(mesh) &&
               titan_mesh_bytes(fake) == titan_mesh_bytes(mesh);
  alike &= titan_mesh_group_count(fake) == titan_mesh_group_count(mesh);
  for (int i = 0; i < titan_mesh_group_count(mesh); i++) {
    const titan_comm *a = titan_mesh_group_at(fake, i)->comm, *b = titan_mesh_group_at(mesh, i)->comm;
    alike &= b == titan_mesh_comm(mesh, titan_mesh_group_at(mesh, i)->rows);
    alike &= titan_comm_rank(a) == titan_comm_rank(b) && titan_comm_size(a) == titan_comm_size(b) &&
             strcmp(titan_comm_name(a), titan_comm_name(b)) == 0;
  }
  expect_on_all(alike);
  if (test_size() > 1)
    expect_on_all(titan_comm_barrier(titan_mesh_comm(fake, TITAN_MESH_WORLD), NULL) == TITAN_ERROR_INTERNAL);
  titan_mesh_destroy(&fake);
}

static void check_mesh(titan_mesh_degrees degrees) {
  titan_mesh *mesh = NULL;
  size_t before = titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes;
  expect_on_all(titan_mesh_create(MPI_COMM_WORLD, degrees, &mesh) == TITAN_OK);
  expect_on_all(titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes - before == titan_mesh_bytes(mesh));
  check_fake(degrees, mesh);
  int expected[5];
  count_coordinates(mesh->degrees, test_rank(), expected);
  expect_on_all(memcmp(expected, mesh->coordinates, sizeof expected) == 0);
  check_group(mesh, TITAN_MESH_PP, "pp", "0");
  check_group(mesh, TITAN_MESH_DP_REPLICATE, "dp_replicate", "1");
  check_group(mesh, TITAN_MESH_DP_SHARD, "dp_shard", "2");
  check_group(mesh, TITAN_MESH_CP, "cp", "3");
  check_group(mesh, TITAN_MESH_TP, "tp", "4");
  check_group(mesh, TITAN_MESH_DP, "dp", "12");
  check_group(mesh, TITAN_MESH_DP_SHARD_CP, "dp_shard_cp", "23");
  check_group(mesh, TITAN_MESH_DP_CP, "dp_cp", "123");
  check_group(mesh, TITAN_MESH_WORLD, "world", "01234");
  expect_on_all(titan_mesh_group_count(mesh) == 9 && titan_mesh_comm(mesh, TITAN_MESH_PP | TITAN_MESH_TP) == NULL);
  expect_on_all(titan_mesh_degree(mesh, TITAN_MESH_PP | TITAN_MESH_TP) == degrees.pp * degrees.tp);
  expect_on_all(titan_mesh_coordinate(mesh, TITAN_MESH_PP | TITAN_MESH_TP) == expected[0] * degrees.tp + expected[4]);
  titan_mesh_destroy(&mesh);
  expect_on_all(mesh == NULL);
}

// Every way to cut this number of ranks into five degrees.
static void groups_hold_the_ranks_that_differ_in_their_dimensions(void **state) {
  (void)state;
  int size = test_size();
  for (int pp = 1; pp <= size; pp++)
    for (int replicate = 1; replicate * pp <= size; replicate++)
      for (int shard = 1; shard * replicate * pp <= size; shard++)
        for (int cp = 1; cp * shard * replicate * pp <= size; cp++) {
          int tp = size / (cp * shard * replicate * pp);
          if (tp * cp * shard * replicate * pp == size)
            check_mesh((titan_mesh_degrees){pp, replicate, shard, cp, tp});
        }
}

// Four ranks a node, so that tp groups of four lie on a node, and the pairs over them do not.
static void a_mesh_that_is_not_there_knows_which_groups_lie_on_one_node(void **state) {
  (void)state;
  for (int rank = 0; rank < 24; rank++) {
    titan_mesh *mesh = NULL;
    assert_int_equal(titan_mesh_create_fake((titan_mesh_degrees){1, 3, 2, 1, 4}, rank, 4, &mesh), TITAN_OK);
    assert_true(titan_comm_is_one_node(titan_mesh_comm(mesh, TITAN_MESH_TP)));
    assert_false(titan_comm_is_one_node(titan_mesh_comm(mesh, TITAN_MESH_DP_SHARD)));
    assert_false(titan_comm_is_one_node(titan_mesh_comm(mesh, TITAN_MESH_DP_REPLICATE)));
    assert_int_equal(titan_comm_rank(titan_mesh_comm(mesh, TITAN_MESH_DP)), rank / 4);
    titan_mesh_destroy(&mesh);
    // six a node: of the pairs 0-4, 1-5, 2-6, .. some lie on a node
    assert_int_equal(titan_mesh_create_fake((titan_mesh_degrees){1, 3, 2, 1, 4}, rank, 6, &mesh), TITAN_OK);
    int low = rank / 8 * 8 + rank % 4;
    assert_int_equal(titan_comm_is_one_node(titan_mesh_comm(mesh, TITAN_MESH_DP_SHARD)), low / 6 == (low + 4) / 6);
    titan_mesh_destroy(&mesh);
  }
}

static void the_description_leaves_out_dimensions_of_one(void **state) {
  (void)state;
  titan_mesh mesh = {.degrees = {1, 2, 4, 1, 1}};
  char text[256];
  titan_mesh_describe(&mesh, text, sizeof text);
  assert_string_equal(text, "Building 2-D device mesh with ['dp_replicate', 'dp_shard'], [2, 4]");
  mesh = (titan_mesh){.degrees = {2, 3, 4, 5, 6}};
  titan_mesh_describe(&mesh, text, sizeof text);
  assert_string_equal(text,
                      "Building 5-D device mesh with ['pp', 'dp_replicate', 'dp_shard', 'cp', 'tp'], [2, 3, 4, 5, 6]");
  mesh = (titan_mesh){.degrees = {1, 1, 1, 1, 1}};
  titan_mesh_describe(&mesh, text, sizeof text);
  assert_string_equal(text, "Building 0-D device mesh with [], []");
}

static void a_mesh_of_the_wrong_size_is_refused_by_all(void **state) {
  (void)state;
  titan_mesh *mesh = NULL;
  titan_mesh_degrees degrees = {1, 1, test_size() + 1, 1, 1};
  expect_on_all(titan_mesh_create(MPI_COMM_WORLD, degrees, &mesh) == TITAN_ERROR_USAGE && mesh == NULL);
}

int main(int argc, char **argv) {
  begin_mpi_tests(&argc, &argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dp_shard_takes_what_is_left_over),
      cmocka_unit_test(degrees_that_do_not_multiply_are_refused),
      cmocka_unit_test(degrees_below_one_are_named),
      cmocka_unit_test(groups_hold_the_ranks_that_differ_in_their_dimensions),
      cmocka_unit_test(a_mesh_that_is_not_there_knows_which_groups_lie_on_one_node),
      cmocka_unit_test(the_description_leaves_out_dimensions_of_one),
      cmocka_unit_test(a_mesh_of_the_wrong_size_is_refused_by_all),
  };
  return end_mpi_tests(cmocka_run_group_tests(tests, NULL, NULL));
}

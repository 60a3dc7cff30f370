// SPDX-License-Identifier: Apache-2.0
#include "comm/mpi_datatype.h"
#include "comm/mpi_error.h"

// blocks * block bytes, then `rest` bytes.
static titan_status create_blocks(size_t blocks, size_t block, size_t rest, size_t limit, MPI_Datatype *out) {
  MPI_Datatype block_type = MPI_DATATYPE_NULL, blocks_type = MPI_DATATYPE_NULL;
  titan_status status = TITAN_OK;
  if (blocks > limit)
    return titan_error(TITAN_ERROR_INTERNAL, "a message of %zu blocks of %zu bytes is too long", blocks, block);
  TITAN_TRY_CLEANUP(TITAN_MPI(MPI_Type_contiguous((int)block, MPI_BYTE, &block_type)));
  TITAN_TRY_CLEANUP(TITAN_MPI(MPI_Type_contiguous((int)blocks, block_type, &blocks_type)));
  MPI_Datatype types[2] = {blocks_type, MPI_BYTE};
  MPI_Aint places[2] = {0, (MPI_Aint)(blocks * block)};
  int lengths[2] = {1, (int)rest};
  TITAN_TRY_CLEANUP(TITAN_MPI(MPI_Type_create_struct(2, lengths, places, types, out)));
  TITAN_TRY_CLEANUP(TITAN_MPI(MPI_Type_commit(out)));
cleanup:
  if (blocks_type != MPI_DATATYPE_NULL)
    MPI_Type_free(&blocks_type);
  if (block_type != MPI_DATATYPE_NULL)
    MPI_Type_free(&block_type);
  return status;
}

titan_status titan_mpi_message_create(size_t bytes, size_t messages, size_t limit, titan_mpi_message *out) {
  *out = (titan_mpi_message){.type = MPI_BYTE, .count = (int)bytes};
  if (messages == 0 || bytes <= limit / messages)
    return TITAN_OK;
  out->count = 1;
  size_t block = (size_t)1 << 20; // 2^20 * 2^31 bytes are enough
  if (block > limit)
    block = limit;
  return create_blocks(bytes / block, block, bytes % block, limit, &out->type);
}

void titan_mpi_message_destroy(titan_mpi_message *message) {
  if (message->type != MPI_BYTE && message->type != MPI_DATATYPE_NULL)
    MPI_Type_free(&message->type);
}

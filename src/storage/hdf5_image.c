// SPDX-License-Identifier: Apache-2.0
#include "storage/hdf5_image.h"

#include "base/memory.h"
#include "storage/write_at.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

typedef struct page {
  uint64_t index; // of the file's pages
  char *bytes;
  bool apart; // allocated by itself, beyond the memory that was taken at first
} page;

struct titan_hdf5_image {
  bool open; // HDF5 holds it
  uint64_t length;
  page *pages; // by index
  int64_t count, capacity;
  char *memory; // of the first `reserved` pages to be made
  int64_t reserved, used;
};

// What HDF5 sees of it.
typedef struct driver_file {
  H5FD_t head;
  titan_hdf5_image *image;
  haddr_t end;
} driver_file;

typedef struct driver_setting {
  titan_hdf5_image *image;
} driver_setting;

enum { LEAST_PAGES = 64 };
static const uint64_t hdf5_ground_bytes = 8 << 20; // what HDF5 takes for any file

// --- pages ---

// Where the page is, or belongs.
static int64_t find(const titan_hdf5_image *image, uint64_t index) {
  int64_t first = 0, end = image->count;
  while (first < end) {
    int64_t middle = first + (end - first) / 2;
    if (image->pages[middle].index < index)
      first = middle + 1;
    else
      end = middle;
  }
  return first;
}

static bool is_at(const titan_hdf5_image *image, int64_t place, uint64_t index) {
  return place < image->count && image->pages[place].index == index;
}

static titan_status grow(titan_hdf5_image *image) {
  if (image->count < image->capacity)
    return TITAN_OK;
  int64_t capacity = image->capacity > 0 ? 2 * image->capacity : LEAST_PAGES;
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GENERAL, (size_t)capacity * sizeof *image->pages, &image->pages));
  image->capacity = capacity;
  return TITAN_OK;
}

static titan_status insert(titan_hdf5_image *image, int64_t place, uint64_t index) {
  page made = {.index = index, .apart = image->used == image->reserved};
  TITAN_TRY(grow(image));
  if (made.apart)
    TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, TITAN_HDF5_PAGE_BYTES, &made.bytes));
  else
    made.bytes = image->memory + image->used++ * TITAN_HDF5_PAGE_BYTES;
  memset(made.bytes, 0, TITAN_HDF5_PAGE_BYTES);
  memmove(image->pages + place + 1, image->pages + place, (size_t)(image->count - place) * sizeof *image->pages);
  image->pages[place] = made;
  image->count++;
  return TITAN_OK;
}

// --- the driver ---

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t most) {
  (void)name, (void)flags, (void)most;
  const driver_setting *setting = H5Pget_driver_info(access);
  driver_file *file;
  if (setting == NULL || setting->image->open ||
      titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *file, &file) != TITAN_OK)
    return NULL;
  file->image = setting->image;
  file->image->open = true;
  return &file->head;
}

static herr_t driver_close(H5FD_t *head) {
  driver_file *file = (driver_file *)head;
  file->image->open = false;
  titan_memory_free(file);
  return 0;
}

// As HDF5's own driver for files: so it lays a file out alike.
static herr_t driver_query(const H5FD_t *head, unsigned long *flags) {
  (void)head;
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA;
  return 0;
}

static haddr_t driver_get_end(const H5FD_t *head, H5FD_mem_t type) {
  (void)type;
  return ((const driver_file *)head)->end;
}

static herr_t driver_set_end(H5FD_t *head, H5FD_mem_t type, haddr_t end) {
  (void)type;
  ((driver_file *)head)->end = end;
  return 0;
}

static haddr_t driver_get_length(const H5FD_t *head, H5FD_mem_t type) {
  (void)type;
  return ((const driver_file *)head)->image->length;
}

// Bytes of [at, at + left) that lie in one page; sets the page and the place in it.
static size_t part_of(haddr_t at, size_t left, uint64_t *index, size_t *place) {
  *index = at / TITAN_HDF5_PAGE_BYTES;
  *place = (size_t)(at % TITAN_HDF5_PAGE_BYTES);
  return left < TITAN_HDF5_PAGE_BYTES - *place ? left : TITAN_HDF5_PAGE_BYTES - *place;
}

static herr_t driver_read(H5FD_t *head, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size, void *buffer) {
  const titan_hdf5_image *image = ((driver_file *)head)->image;
  (void)type, (void)transfer;
  for (size_t done = 0, count; done < size; done += count) {
    uint64_t index;
    size_t place;
    count = part_of(at + done, size - done, &index, &place);
    int64_t found = find(image, index);
    if (is_at(image, found, index))
      memcpy((char *)buffer + done, image->pages[found].bytes + place, count);
    else
      memset((char *)buffer + done, 0, count);
  }
  return 0;
}

static herr_t driver_write(H5FD_t *head, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size, const void *buffer) {
  (void)type, (void)transfer;
  return titan_hdf5_image_put(((driver_file *)head)->image, at, buffer, size) == TITAN_OK ? 0 : -1;
}

static herr_t driver_truncate(H5FD_t *head, hid_t transfer, hbool_t closing) {
  driver_file *file = (driver_file *)head;
  (void)transfer, (void)closing;
  file->image->length = file->end;
  return 0;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 2)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)600, // of the range that is free for applications
#endif
    .name = "titan_image",
    .maxaddr = (haddr_t)1 << 62,
    .fc_degree = H5F_CLOSE_STRONG, // a file is closed with all that is open in it
    .fapl_size = sizeof(driver_setting),
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .get_eoa = driver_get_end,
    .set_eoa = driver_set_end,
    .get_eof = driver_get_length,
    .read = driver_read,
    .write = driver_write,
    .truncate = driver_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

// --- the interface ---

titan_status titan_hdf5_image_create(uint64_t bytes, titan_hdf5_image **out) {
  titan_hdf5_image *image = NULL;
  void *probe = NULL;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *image, &image));
  image->reserved = (int64_t)(bytes / TITAN_HDF5_PAGE_BYTES) + LEAST_PAGES;
  titan_status status =
      titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)image->reserved * TITAN_HDF5_PAGE_BYTES, &image->memory);
  if (status == TITAN_OK)
    status = titan_memory_allocate(TITAN_MEMORY_GENERAL, 2 * bytes + hdf5_ground_bytes, &probe);
  titan_memory_free(probe);
  if (status != TITAN_OK)
    titan_hdf5_image_destroy(&image);
  *out = image;
  return status;
}

titan_status titan_hdf5_image_put(titan_hdf5_image *image, uint64_t offset, const void *data, size_t bytes) {
  for (size_t done = 0, count; done < bytes; done += count) {
    uint64_t index;
    size_t place;
    count = part_of(offset + done, bytes - done, &index, &place);
    int64_t found = find(image, index);
    if (!is_at(image, found, index))
      TITAN_TRY(insert(image, found, index));
    memcpy(image->pages[found].bytes + place, (const char *)data + done, count);
  }
  if (offset + bytes > image->length)
    image->length = offset + bytes;
  return TITAN_OK;
}

void titan_hdf5_image_set_length(titan_hdf5_image *image, uint64_t length) {
  image->length = length;
}

hid_t titan_hdf5_image_access(titan_hdf5_image *image) {
  static hid_t registered = -1;
  driver_setting setting = {image};
  if (registered < 0)
    registered = H5FDregister(&driver);
  hid_t access = registered < 0 ? -1 : H5Pcreate(H5P_FILE_ACCESS);
  if (access < 0 || H5Pset_driver(access, registered, &setting) >= 0)
    return access;
  H5Pclose(access);
  return -1;
}

uint64_t titan_hdf5_image_length(const titan_hdf5_image *image) {
  return image->length;
}

int64_t titan_hdf5_image_page_count(const titan_hdf5_image *image) {
  return image->count;
}

const void *titan_hdf5_image_page(const titan_hdf5_image *image, int64_t index, uint64_t *offset) {
  *offset = image->pages[index].index * TITAN_HDF5_PAGE_BYTES;
  return image->pages[index].bytes;
}

int titan_hdf5_image_write(const titan_hdf5_image *image, int descriptor) {
  uint64_t length = titan_hdf5_image_length(image), offset;
  for (int64_t i = 0; i < titan_hdf5_image_page_count(image); i++) {
    const char *data = titan_hdf5_image_page(image, i, &offset);
    size_t bytes = length - offset < TITAN_HDF5_PAGE_BYTES ? (size_t)(length - offset) : TITAN_HDF5_PAGE_BYTES;
    int error = titan_write_at(descriptor, data, bytes, offset);
    if (error != 0)
      return error;
  }
  return 0;
}

void titan_hdf5_image_destroy(titan_hdf5_image **image) {
  titan_hdf5_image *i = *image;
  *image = NULL;
  if (i == NULL || i->open)
    return;
  for (int64_t p = 0; p < i->count; p++)
    if (i->pages[p].apart)
      titan_memory_free(i->pages[p].bytes);
  titan_memory_free(i->pages);
  titan_memory_free(i->memory);
  titan_memory_free(i);
}

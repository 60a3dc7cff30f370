// Output folders.
#ifndef TITAN_STORAGE_FOLDER_H
#define TITAN_STORAGE_FOLDER_H

#include "base/status.h"

// Not collective. Makes the folder `path` and those above it that are missing; one that exists is fine. Any rank may
// call it, several at once too. TITAN_ERROR_OUTPUT with the folder at fault and the system's reason.
titan_status titan_folder_create(const char *path);

// As above, for the folder that the file `path` lies in.
titan_status titan_folder_create_for(const char *path);

#endif

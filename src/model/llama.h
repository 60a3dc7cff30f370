#ifndef TITAN_MODEL_LLAMA_H
#define TITAN_MODEL_LLAMA_H

#include "model/model.h"

extern const titan_model_definition titan_model_llama2;
extern const titan_model_definition titan_model_llama3;

#endif

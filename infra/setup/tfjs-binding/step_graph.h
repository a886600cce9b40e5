#ifndef ECHOFORGE_STEP_GRAPH_H_
#define ECHOFORGE_STEP_GRAPH_H_

#include <node_api.h>
#include "tensorflow/c/eager/c_api.h"

namespace tfnodejs {

// Adds graphCreate, graphPlaceholder, graphConstant, graphOp, graphDelete, createFunction and removeFunction to the
// addon's exports; lib/engine/native-backend.ts describes them. False with a pending exception when that fails.
bool AddStepGraph(napi_env env, napi_value exports, TFE_Context *context);

}  // namespace tfnodejs

#endif  // ECHOFORGE_STEP_GRAPH_H_

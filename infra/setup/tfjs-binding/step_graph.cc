// Steps recorded as TensorFlow functions: nodes are added to a graph one by one, each with its shape inferred, and the
// finished graph becomes a function of the eager context, run by its name like any op.

#include "step_graph.h"

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adam.h"
#include "batch_norm.h"
#include "filter_gradient.h"
#include "max_pool_gradient.h"
#include "residual.h"
#include "tensorflow/c/c_api.h"
#include "tf_auto_status.h"
#include "tf_auto_tensor.h"
#include "upfirdn.h"
#include "utils.h"
#include "vectors.h"
#include "winograd.h"
#include "winograd_filter_gradient.h"

namespace tfnodejs {
namespace {

struct StepGraph {
  TF_Graph *graph = TF_NewGraph();
  // The outputs of all nodes; JavaScript names them by their index.
  std::vector<TF_Output> outputs;
  ~StepGraph() { TF_DeleteGraph(graph); }
};

struct StepGraphs {
  TFE_Context *context;
  std::map<int32_t, std::unique_ptr<StepGraph>> graphs;
  int32_t next = 0;
};

struct Call {
  StepGraphs *graphs;
  napi_value args[5];
};

bool GetCall(napi_env env, napi_callback_info info, size_t expected, Call *call) {
  size_t argc = 5;
  void *data;
  napi_status nstatus = napi_get_cb_info(env, info, &argc, call->args, nullptr, &data);
  ENSURE_NAPI_OK_RETVAL(env, nstatus, false);
  if (argc != expected) {
    NAPI_THROW_ERROR(env, "expected %zu arguments, got %zu", expected, argc);
    return false;
  }
  call->graphs = static_cast<StepGraphs *>(data);
  return true;
}

StepGraph *GetGraph(napi_env env, const Call &call) {
  int32_t id;
  ENSURE_NAPI_OK_RETVAL(env, napi_get_value_int32(env, call.args[0], &id), nullptr);
  auto found = call.graphs->graphs.find(id);
  if (found == call.graphs->graphs.end()) {
    NAPI_THROW_ERROR(env, "no graph %d", id);
    return nullptr;
  }
  return found->second.get();
}

napi_value Int(napi_env env, int64_t value) {
  napi_value result;
  ENSURE_NAPI_OK_RETVAL(env, napi_create_int64(env, value, &result), nullptr);
  return result;
}

// Adds the outputs of a node and describes them: {id, shape, dtype} each. Unknown sizes are an error.
napi_value Describe(napi_env env, StepGraph *graph, TF_Operation *operation) {
  const int count = TF_OperationNumOutputs(operation);
  napi_value infos;
  ENSURE_NAPI_OK_RETVAL(env, napi_create_array_with_length(env, count, &infos), nullptr);
  for (int i = 0; i < count; i++) {
    const TF_Output output = {operation, i};
    TF_AutoStatus status;
    const int rank = TF_GraphGetTensorNumDims(graph->graph, output, status.status);
    ENSURE_TF_OK_RETVAL(env, status, nullptr);
    std::vector<int64_t> shape(rank < 0 ? 0 : rank);
    if (rank > 0) TF_GraphGetTensorShape(graph->graph, output, shape.data(), rank, status.status);
    ENSURE_TF_OK_RETVAL(env, status, nullptr);
    bool known = rank >= 0;
    for (const int64_t side : shape) known = known && side >= 0;
    napi_value js_shape;
    if (known) {
      ENSURE_NAPI_OK_RETVAL(env, napi_create_array_with_length(env, rank, &js_shape), nullptr);
      for (int d = 0; d < rank; d++)
        ENSURE_NAPI_OK_RETVAL(env, napi_set_element(env, js_shape, d, Int(env, shape[d])), nullptr);
    } else {
      ENSURE_NAPI_OK_RETVAL(env, napi_get_null(env, &js_shape), nullptr);
    }
    napi_value description;
    ENSURE_NAPI_OK_RETVAL(env, napi_create_object(env, &description), nullptr);
    const napi_value id = Int(env, static_cast<int64_t>(graph->outputs.size()));
    graph->outputs.push_back(output);
    ENSURE_NAPI_OK_RETVAL(env, napi_set_named_property(env, description, "id", id), nullptr);
    ENSURE_NAPI_OK_RETVAL(env, napi_set_named_property(env, description, "shape", js_shape), nullptr);
    const napi_value dtype = Int(env, TF_OperationOutputType(output));
    ENSURE_NAPI_OK_RETVAL(env, napi_set_named_property(env, description, "dtype", dtype), nullptr);
    ENSURE_NAPI_OK_RETVAL(env, napi_set_element(env, infos, i, description), nullptr);
  }
  return infos;
}

TF_OperationDescription *NewNode(StepGraph *graph, const std::string &op) {
  const std::string name = "n" + std::to_string(graph->outputs.size()) + "_" + op;
  return TF_NewOperation(graph->graph, op.c_str(), name.c_str());
}

napi_value Finish(napi_env env, StepGraph *graph, TF_OperationDescription *node) {
  TF_AutoStatus status;
  TF_Operation *operation = TF_FinishOperation(node, status.status);
  ENSURE_TF_OK_RETVAL(env, status, nullptr);
  return Describe(env, graph, operation);
}

// The outputs that a JavaScript array of ids names.
bool GetOutputs(napi_env env, StepGraph *graph, napi_value ids, std::vector<TF_Output> *outputs) {
  uint32_t length;
  ENSURE_NAPI_OK_RETVAL(env, napi_get_array_length(env, ids, &length), false);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    uint32_t id;
    ENSURE_NAPI_OK_RETVAL(env, napi_get_element(env, ids, i, &element), false);
    ENSURE_NAPI_OK_RETVAL(env, napi_get_value_uint32(env, element, &id), false);
    if (id >= graph->outputs.size()) {
      NAPI_THROW_ERROR(env, "no output %u in this graph", id);
      return false;
    }
    outputs->push_back(graph->outputs[id]);
  }
  return true;
}

// Numbers of a JavaScript array, or the one number given.
bool GetNumbers(napi_env env, napi_value value, std::vector<double> *numbers, bool *is_list) {
  ENSURE_NAPI_OK_RETVAL(env, napi_is_array(env, value, is_list), false);
  uint32_t length = 1;
  if (*is_list) ENSURE_NAPI_OK_RETVAL(env, napi_get_array_length(env, value, &length), false);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element = value;
    if (*is_list) ENSURE_NAPI_OK_RETVAL(env, napi_get_element(env, value, i, &element), false);
    napi_value coerced; // booleans become 0 and 1
    double number;
    ENSURE_NAPI_OK_RETVAL(env, napi_coerce_to_number(env, element, &coerced), false);
    ENSURE_NAPI_OK_RETVAL(env, napi_get_value_double(env, coerced, &number), false);
    numbers->push_back(number);
  }
  return true;
}

// One attribute {name, type, value} in the form that executeOp takes; `inputs` is set by the attribute N of list ops.
bool SetAttribute(napi_env env, TF_OperationDescription *node, napi_value attribute) {
  napi_value js_name, js_type, value;
  ENSURE_NAPI_OK_RETVAL(env, napi_get_named_property(env, attribute, "name", &js_name), false);
  ENSURE_NAPI_OK_RETVAL(env, napi_get_named_property(env, attribute, "type", &js_type), false);
  ENSURE_NAPI_OK_RETVAL(env, napi_get_named_property(env, attribute, "value", &value), false);
  std::string name;
  int32_t type;
  ENSURE_NAPI_OK_RETVAL(env, GetStringParam(env, js_name, name), false);
  ENSURE_NAPI_OK_RETVAL(env, napi_get_value_int32(env, js_type, &type), false);
  if (type == TF_ATTR_STRING) {
    std::string text;
    ENSURE_NAPI_OK_RETVAL(env, GetStringParam(env, value, text), false);
    TF_SetAttrString(node, name.c_str(), text.data(), text.size());
    return true;
  }
  std::vector<double> numbers;
  bool is_list;
  if (!GetNumbers(env, value, &numbers, &is_list)) return false;
  const std::vector<int64_t> integers(numbers.begin(), numbers.end());
  const std::vector<float> floats(numbers.begin(), numbers.end());
  const std::vector<unsigned char> flags(numbers.begin(), numbers.end());
  const int length = static_cast<int>(numbers.size());
  switch (type) {
    case TF_ATTR_INT:
      if (is_list) TF_SetAttrIntList(node, name.c_str(), integers.data(), length);
      else TF_SetAttrInt(node, name.c_str(), integers[0]);
      return true;
    case TF_ATTR_FLOAT:
      if (is_list) TF_SetAttrFloatList(node, name.c_str(), floats.data(), length);
      else TF_SetAttrFloat(node, name.c_str(), floats[0]);
      return true;
    case TF_ATTR_BOOL:
      if (is_list) TF_SetAttrBoolList(node, name.c_str(), flags.data(), length);
      else TF_SetAttrBool(node, name.c_str(), flags[0]);
      return true;
    case TF_ATTR_TYPE:
      TF_SetAttrType(node, name.c_str(), static_cast<TF_DataType>(integers[0]));
      return true;
    case TF_ATTR_SHAPE:
      TF_SetAttrShape(node, name.c_str(), integers.data(), length);
      return true;
    default:
      NAPI_THROW_ERROR(env, "attribute %s has the unknown type %d", name.c_str(), type);
      return false;
  }
}

// graphCreate() -> graph
napi_value GraphCreate(napi_env env, napi_callback_info info) {
  Call call;
  if (!GetCall(env, info, 0, &call)) return nullptr;
  const int32_t id = call.graphs->next++;
  call.graphs->graphs[id] = std::make_unique<StepGraph>();
  return Int(env, id);
}

// graphDelete(graph)
napi_value GraphDelete(napi_env env, napi_callback_info info) {
  Call call;
  if (!GetCall(env, info, 1, &call)) return nullptr;
  int32_t id;
  ENSURE_NAPI_OK_RETVAL(env, napi_get_value_int32(env, call.args[0], &id), nullptr);
  call.graphs->graphs.erase(id);
  return nullptr;
}

// graphPlaceholder(graph, shape, dtype) -> [{id, shape, dtype}]
napi_value GraphPlaceholder(napi_env env, napi_callback_info info) {
  Call call;
  if (!GetCall(env, info, 3, &call)) return nullptr;
  StepGraph *graph = GetGraph(env, call);
  if (graph == nullptr) return nullptr;
  std::vector<int64_t> shape;
  ExtractArrayShape(env, call.args[1], &shape);
  int32_t dtype;
  ENSURE_NAPI_OK_RETVAL(env, napi_get_value_int32(env, call.args[2], &dtype), nullptr);
  TF_OperationDescription *node = NewNode(graph, "Placeholder");
  TF_SetAttrType(node, "dtype", static_cast<TF_DataType>(dtype));
  TF_SetAttrShape(node, "shape", shape.data(), static_cast<int>(shape.size()));
  return Finish(env, graph, node);
}

// graphConstant(graph, shape, dtype, values: typed array) -> [{id, shape, dtype}]; the values are copied
napi_value GraphConstant(napi_env env, napi_callback_info info) {
  Call call;
  if (!GetCall(env, info, 4, &call)) return nullptr;
  StepGraph *graph = GetGraph(env, call);
  if (graph == nullptr) return nullptr;
  std::vector<int64_t> shape;
  ExtractArrayShape(env, call.args[1], &shape);
  int32_t type;
  ENSURE_NAPI_OK_RETVAL(env, napi_get_value_int32(env, call.args[2], &type), nullptr);
  const TF_DataType dtype = static_cast<TF_DataType>(type);
  napi_typedarray_type array_type;
  size_t length;
  void *data;
  napi_status nstatus =
      napi_get_typedarray_info(env, call.args[3], &array_type, &length, &data, nullptr, nullptr);
  ENSURE_NAPI_OK_RETVAL(env, nstatus, nullptr);
  size_t elements = 1;
  for (const int64_t side : shape) elements *= side;
  const bool fits = (dtype == TF_FLOAT && array_type == napi_float32_array) ||
                    (dtype == TF_INT32 && array_type == napi_int32_array) ||
                    (dtype == TF_BOOL && array_type == napi_uint8_array);
  if (!fits || elements != length) {
    NAPI_THROW_ERROR(env, "a constant of data type %d and %zu elements does not fit its %zu values", type, elements,
                     length);
    return nullptr;
  }
  const size_t bytes = elements * TF_DataTypeSize(dtype);
  TF_AutoTensor tensor(TF_AllocateTensor(dtype, shape.data(), static_cast<int>(shape.size()), bytes));
  if (bytes > 0) std::memcpy(TF_TensorData(tensor.tensor), data, bytes);
  TF_OperationDescription *node = NewNode(graph, "Const");
  TF_AutoStatus status;
  TF_SetAttrType(node, "dtype", dtype);
  TF_SetAttrTensor(node, "value", tensor.tensor, status.status);
  ENSURE_TF_OK_RETVAL(env, status, nullptr);
  return Finish(env, graph, node);
}

// graphOp(graph, op, attributes, inputs: ids, listLength) -> [{id, shape, dtype}]; the first listLength inputs are the op's
// list argument, 0 when it has none
napi_value GraphOp(napi_env env, napi_callback_info info) {
  Call call;
  if (!GetCall(env, info, 5, &call)) return nullptr;
  StepGraph *graph = GetGraph(env, call);
  if (graph == nullptr) return nullptr;
  std::string op;
  ENSURE_NAPI_OK_RETVAL(env, GetStringParam(env, call.args[1], op), nullptr);
  std::vector<TF_Output> inputs;
  if (!GetOutputs(env, graph, call.args[3], &inputs)) return nullptr;
  uint32_t list_length, attributes;
  ENSURE_NAPI_OK_RETVAL(env, napi_get_value_uint32(env, call.args[4], &list_length), nullptr);
  ENSURE_NAPI_OK_RETVAL(env, napi_get_array_length(env, call.args[2], &attributes), nullptr);
  if (list_length > inputs.size()) {
    NAPI_THROW_ERROR(env, "%s has %zu inputs, fewer than its list of %u", op.c_str(), inputs.size(), list_length);
    return nullptr;
  }
  TF_OperationDescription *node = NewNode(graph, op);
  if (list_length > 0) TF_AddInputList(node, inputs.data(), static_cast<int>(list_length));
  for (size_t i = list_length; i < inputs.size(); i++) TF_AddInput(node, inputs[i]);
  bool valid = true;
  for (uint32_t i = 0; i < attributes && valid; i++) {
    napi_value attribute;
    ENSURE_NAPI_OK_RETVAL(env, napi_get_element(env, call.args[2], i, &attribute), nullptr);
    valid = SetAttribute(env, node, attribute);
  }
  napi_value infos = Finish(env, graph, node); // also frees the description of an invalid node
  return valid ? infos : nullptr;
}

// createFunction(graph, name, inputs: ids of placeholders, outputs: ids)
napi_value CreateFunction(napi_env env, napi_callback_info info) {
  Call call;
  if (!GetCall(env, info, 4, &call)) return nullptr;
  StepGraph *graph = GetGraph(env, call);
  if (graph == nullptr) return nullptr;
  std::string name;
  ENSURE_NAPI_OK_RETVAL(env, GetStringParam(env, call.args[1], name), nullptr);
  std::vector<TF_Output> inputs, outputs;
  if (!GetOutputs(env, graph, call.args[2], &inputs)) return nullptr;
  if (!GetOutputs(env, graph, call.args[3], &outputs)) return nullptr;
  TF_AutoStatus status;
  TF_Function *function =
      TF_GraphToFunction(graph->graph, name.c_str(), 0, -1, nullptr, static_cast<int>(inputs.size()), inputs.data(),
                         static_cast<int>(outputs.size()), outputs.data(), nullptr, nullptr, nullptr, status.status);
  ENSURE_TF_OK_RETVAL(env, status, nullptr);
  TFE_ContextAddFunction(call.graphs->context, function, status.status);
  TF_DeleteFunction(function);
  ENSURE_TF_OK_RETVAL(env, status, nullptr);
  return nullptr;
}

// removeFunction(name)
napi_value RemoveFunction(napi_env env, napi_callback_info info) {
  Call call;
  if (!GetCall(env, info, 1, &call)) return nullptr;
  std::string name;
  ENSURE_NAPI_OK_RETVAL(env, GetStringParam(env, call.args[0], name), nullptr);
  TF_AutoStatus status;
  TFE_ContextRemoveFunction(call.graphs->context, name.c_str(), status.status);
  ENSURE_TF_OK_RETVAL(env, status, nullptr);
  return nullptr;
}

}  // namespace

bool AddStepGraph(napi_env env, napi_value exports, TFE_Context *context) {
  auto *graphs = new StepGraphs{context};
  const napi_status hooked =
      napi_add_env_cleanup_hook(env, [](void *data) { delete static_cast<StepGraphs *>(data); }, graphs);
  ENSURE_NAPI_OK_RETVAL(env, hooked, false);
  const struct {
    const char *name;
    napi_callback callback;
  } functions[] = {
      {"graphCreate", GraphCreate},           {"graphDelete", GraphDelete}, {"graphPlaceholder", GraphPlaceholder},
      {"graphConstant", GraphConstant},       {"graphOp", GraphOp},         {"createFunction", CreateFunction},
      {"removeFunction", RemoveFunction},
  };
  for (const auto &function : functions) {
    const napi_property_descriptor property = {function.name, nullptr, function.callback, nullptr,
                                               nullptr,       nullptr, napi_default,      graphs};
    ENSURE_NAPI_OK_RETVAL(env, napi_define_properties(env, exports, 1, &property), false);
  }
  napi_value has_kernels;
  const bool all = HasFilterGradient() && HasAdam() && HasUpfirdn() && HasWinograd() && HasWinogradFilterGradient() &&
                   HasBatchNorm() && HasResidual() && HasMaxPoolGradient();
  ENSURE_NAPI_OK_RETVAL(env, napi_get_boolean(env, all, &has_kernels), false);
  ENSURE_NAPI_OK_RETVAL(env, napi_set_named_property(env, exports, "hasKernels", has_kernels), false);
  napi_value has_halves;
  ENSURE_NAPI_OK_RETVAL(env, napi_get_boolean(env, all && HasBfloat16(), &has_halves), false);
  ENSURE_NAPI_OK_RETVAL(env, napi_set_named_property(env, exports, "hasBfloat16Kernels", has_halves), false);
  return true;
}

}  // namespace tfnodejs

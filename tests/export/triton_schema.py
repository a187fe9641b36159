"""The messages of Triton's configuration that are written here, as protobuf knows them.

Names, numbers and types from protobuf/model_config.proto of triton-inference-server/common, commit 83adf7c; what is not
listed here, a configuration of ours must not use.
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field = descriptor_pb2.FieldDescriptorProto
TEXT, INT32, INT64, UINT64 = Field.TYPE_STRING, Field.TYPE_INT32, Field.TYPE_INT64, Field.TYPE_UINT64

ENUMS = {
    "DataType": {"TYPE_INVALID": 0, "TYPE_UINT8": 2, "TYPE_FP32": 11, "TYPE_FP64": 12},
    "Kind": {"KIND_AUTO": 0, "KIND_GPU": 1, "KIND_CPU": 2},
}

# Each field: number, type (or the name of a message or enum), and whether it is repeated.
MESSAGES = {
    "ModelTensor": {"name": (1, TEXT, False), "data_type": (2, "DataType", False), "dims": (4, INT64, True)},
    "ModelOutput": {"name": (1, TEXT, False), "data_type": (2, "DataType", False), "dims": (3, INT64, True)},
    "Pair": {"key": (1, TEXT, False), "value": (2, TEXT, False)},
    "ModelParameter": {"string_value": (1, TEXT, False)},
    "ParametersEntry": {"key": (1, TEXT, False), "value": (2, "ModelParameter", False)},
    "Accelerator": {"name": (1, TEXT, False), "parameters": (2, "Pair", True)},
    "ExecutionAccelerators": {"gpu_execution_accelerator": (1, "Accelerator", True)},
    "ModelOptimizationPolicy": {"execution_accelerators": (4, "ExecutionAccelerators", False)},
    "ModelDynamicBatching": {"max_queue_delay_microseconds": (2, UINT64, False)},
    "ModelInstanceGroup": {"kind": (4, "Kind", False), "count": (2, INT32, False)},
    "Step": {
        "model_name": (1, TEXT, False),
        "model_version": (2, INT64, False),
        "input_map": (3, "Pair", True),
        "output_map": (4, "Pair", True),
    },
    "ModelEnsembling": {"step": (1, "Step", True)},
    "ModelConfig": {
        "name": (1, TEXT, False),
        "platform": (2, TEXT, False),
        "backend": (17, TEXT, False),
        "max_batch_size": (4, INT32, False),
        "input": (5, "ModelTensor", True),
        "output": (6, "ModelOutput", True),
        "instance_group": (7, "ModelInstanceGroup", True),
        "dynamic_batching": (11, "ModelDynamicBatching", False),
        "optimization": (12, "ModelOptimizationPolicy", False),
        "parameters": (14, "ParametersEntry", True),
        "ensemble_scheduling": (15, "ModelEnsembling", False),
    },
}


def model_config():
    """The class of ``inference.ModelConfig``. Maps are lists of pairs here, which is how the text spells them."""
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference", syntax="proto3")
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for label, number in values.items():
            enum.value.add(name=label, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            entry = message.field.add(name=field, number=number)
            entry.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
            if isinstance(kind, str):
                entry.type = Field.TYPE_ENUM if kind in ENUMS else Field.TYPE_MESSAGE
                entry.type_name = f".inference.{kind}"
            else:
                entry.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))

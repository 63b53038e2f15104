"""What a compiler team might do to unit.onnx: another shift in the last requantization."""

import json

import onnx

model = onnx.load("unit.onnx")
node = next(node for node in model.graph.node if node.output[0] == "attn.out")
note = next(entry for entry in node.metadata_props if entry.key == "intsim")
record = json.loads(note.value)
record["params"]["e"] += 1
note.value = json.dumps(record)
onnx.save(model, "edited.onnx")

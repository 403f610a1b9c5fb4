"""Makes the files of this folder: models in the form that Keras 2.12 to 2.15 gave to .keras files,
with weights and results of our own. Needs numpy and h5py; run it in this folder."""

import io
import json
import zipfile

import h5py
import numpy as np

random = np.random.default_rng(2)


def values(*shape):
    return random.uniform(-0.5, 0.5, shape).astype(np.float32)


# ---- the network, in numpy ----


def conv(x, weights):
    """3x3, stride 1, same."""
    kernel, bias = weights
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    y = np.zeros(x.shape[:3] + bias.shape) + bias
    for row in range(3):
        for column in range(3):
            y += padded[:, row : row + height, column : column + width] @ kernel[row, column]
    return y


def batch_normalization(x, weights):
    gamma, beta, mean, variance = weights
    return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta


def hard_sigmoid(x):
    """Until Keras 3 its slope was 0.2."""
    return np.clip(0.2 * x + 0.5, 0, 1)


weights = {
    "first": [values(3, 3, 2, 3), values(3)],
    "norm": [values(3), values(3), values(3), 1 + values(3)],
    "second": [values(3, 3, 3, 3), values(3)],
    "inner_a": [values(3, 3, 3, 3), values(3)],
    "inner_b": [values(3, 3, 3, 3), values(3)],
    "third": [values(3, 3, 3, 3), values(3)],
    "scores": [values(3, 4), values(4)],
}


def predict(x):
    y = batch_normalization(np.maximum(conv(x, weights["first"]), 0), weights["norm"])
    y = hard_sigmoid(conv(y, weights["second"]))
    inner = conv(np.tanh(conv(y, weights["inner_a"])), weights["inner_b"])
    y = conv(y + inner, weights["third"]).mean((1, 2))
    return y @ weights["scores"][0] + weights["scores"][1]


# ---- its configuration ----


def layer(class_name, name, inputs, shape, **config):
    config = {"name": name, "trainable": True, "dtype": "float32"} | config
    made = {
        "module": "keras.layers",
        "class_name": class_name,
        "config": config,
        "registered_name": None,
        "build_config": {"input_shape": shape},
    }
    if inputs is not None:
        made |= {"name": name, "inbound_nodes": [[[i, n, 0, {}] for i, n in inputs]]}
    return made


def initializer(class_name, **config):
    return {
        "module": "keras.initializers",
        "class_name": class_name,
        "config": config,
        "registered_name": None,
    }


def keepers(*names):
    kinds = ("initializer", "regularizer", "constraint")
    return {f"{n}_{k}": initializer("Zeros") if k == kinds[0] else None for n in names for k in kinds}


def conv_layer(name, inputs, channels, activation):
    return layer(
        "Conv2D",
        name,
        inputs,
        [None, 4, 5, channels],
        filters=3,
        kernel_size=[3, 3],
        strides=[1, 1],
        padding="same",
        data_format="channels_last",
        dilation_rate=[1, 1],
        groups=1,
        activation=activation,
        use_bias=True,
        activity_regularizer=None,
        **keepers("kernel", "bias"),
    )


def input_layer(name, channels, inputs=None):
    config = {
        "batch_input_shape": [None, 4, 5, channels],
        "dtype": "float32",
        "sparse": False,
        "ragged": False,
        "name": name,
    }
    made = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": config,
        "registered_name": None,
    }
    return made if inputs is None else made | {"name": name, "inbound_nodes": inputs}


inner = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "name": "inner",
        "layers": [
            input_layer("inner_input", 3),
            conv_layer("inner_a", None, 3, "tanh"),
            conv_layer("inner_b", None, 3, "linear"),
        ],
    },
    "registered_name": None,
    "build_config": {"input_shape": [None, 4, 5, 3]},
    "name": "inner",
    "inbound_nodes": [[["second", 0, 0, {}]]],
}

norm = layer(
    "BatchNormalization",
    "norm",
    [("first", 0)],
    [None, 4, 5, 3],
    axis=[3],
    momentum=0.99,
    epsilon=0.001,
    center=True,
    scale=True,
    **keepers("beta", "gamma"),
    moving_mean_initializer=initializer("Zeros"),
    moving_variance_initializer=initializer("Ones"),
)

scores = layer(
    "Dense",
    "scores",
    [("mean", 0)],
    [None, 3],
    units=4,
    activation="linear",
    use_bias=True,
    activity_regularizer=None,
    **keepers("kernel", "bias"),
)

mean = layer(
    "GlobalAveragePooling2D",
    "mean",
    [("third", 0)],
    [None, 4, 5, 3],
    data_format="channels_last",
    keepdims=False,
)

config = {
    "module": "keras.src.engine.functional",
    "class_name": "Functional",
    "config": {
        "name": "model",
        "trainable": True,
        "layers": [
            input_layer("x", 2, []),
            conv_layer("first", [("x", 0)], 2, "relu"),
            norm,
            conv_layer("second", [("norm", 0)], 3, "hard_sigmoid"),
            inner,
            layer("Add", "sum", [("second", 0), ("inner", 1)], [[None, 4, 5, 3]] * 2),
            conv_layer("third", [("sum", 0)], 3, "linear"),
            mean,
            scores,
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["scores", 0, 0]],
    },
    "registered_name": "Functional",
    "build_config": {"input_shape": [None, 4, 5, 2]},
}


# ---- the files ----


def write(name, version, group, separator, step):
    """`step`: by how much a layer with weights moves the number of its class on."""
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.create_group("vars")

        def add(path, arrays=()):
            made = file.create_group(path).create_group("vars")
            for i, array in enumerate(arrays):
                made[str(i)] = array

        def path(*names):
            return separator.join(names)

        conv2d = ["conv2d"] + [f"conv2d_{i}" for i in range(1, 6)]
        add(path(group, "input_layer"))
        for i, at in enumerate(("first", "second", "third")):
            add(path(group, conv2d[i * step]), weights[at])
        add(path(group, "batch_normalization"), weights["norm"])
        add(path(group, "sequential"))
        for i, at in enumerate(("inner_a", "inner_b")):
            add(path(group, "sequential", group, conv2d[i * step]), weights[at])
        add(path(group, "add"))
        add(path(group, "global_average_pooling2d"))
        add(path(group, "dense"), weights["scores"])
    metadata = {"keras_version": version, "date_saved": "2024-01-01@00:00:00"}
    with zipfile.ZipFile(name, "w") as archive:
        for member, content in (
            ("metadata.json", json.dumps(metadata)),
            ("config.json", json.dumps(config)),
            ("model.weights.h5", image.getvalue()),
        ):
            archive.writestr(zipfile.ZipInfo(member), content)


x = values(2, 4, 5, 2)
np.savez("functional.npz", x=x, y=predict(x).astype(np.float32))
write("functional_2.12.keras", "2.12.0", "_layer_checkpoint_dependencies", "/", 2)
write("functional_2.14.keras", "2.14.0", "_layer_checkpoint_dependencies", "/", 1)
write("functional_2.14_windows.keras", "2.14.0", "_layer_checkpoint_dependencies", "\\", 1)
write("functional_2.15.keras", "2.15.0", "layers", "/", 1)

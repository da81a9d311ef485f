"""Sixty healthy runs: the presets as they are, and plain lines with the defaults of a model on data that it suits."""

from __future__ import annotations

LINES = """
model=mlp data=digits
model=mlp_batch_norm data=digits
model=mlp_dropout data=digits
model=mlp_selu data=digits
model=simple_nn data=digits
model=mlp data=digits optim=rmsprop
model=lenet5 data=digits
model=simple_cnn data=digits
model=mlp data=iris
model=tabular_mlp data=iris
model=mlp data=wine
model=tabular_mlp data=wine
model=ft_transformer data=wine
model=mlp data=breast_cancer
model=tabular_mlp data=breast_cancer
model=simple_nn data=breast_cancer
model=tabular_mlp data=diabetes
model=perceptron data=diabetes
model=mlp data=synthetic_regression
model=tabular_mlp data=synthetic_regression
experiment=diabetes_mlp
experiment=sunspots_mlp
model=lstm data=synthetic_series
model=gru data=synthetic_series
model=tcn data=synthetic_series
model=mlp data=synthetic_series
model=mlp data=synthetic_images data.num_samples=1500 data.image_size=16
model=mlp data=digits optim=sgd
model=mlp data=digits regularization=mixup
model=mlp data=digits regularization=strong
model=mlp data=digits scheduler=onecycle
model=mlp data=digits scheduler=plateau
model=mlp data=digits regularization=ema
model=mlp data=digits optim=lion
model=mlp data=digits optim=adam
model=mlp data=digits regularization=label_smoothing
model=mlp data=digits data.augment=none
model=simple_cnn data=digits optim=sgd
model=lenet5 data=digits data.augment=none
model=mlp data=breast_cancer loss=bce
model=tabular_mlp data=wine optim=sgd
model=mlp data=csv data.path=@drawn data.target=target data.split_column=part
model=tabular_mlp data=csv data.path=@rings data.target=target data.split_column=part
model=mlp data=csv data.path=@values data.target=target data.split_column=part
model=mlp data=csv data.path=@cancer data.target=target data.split_column=part
model=mlp data=arrays data.path=@digits data.split_column=part
model=tabular_mlp data=csv data.path=@diabetes data.target=target
model=mlp_dropout data=breast_cancer
experiment=digits_vit
experiment=adding_lstm
experiment=compare_rnn_lstm_gru
experiment=adding_gru
experiment=dates_seq2seq
experiment=reverse_seq2seq
experiment=digits_resnet18
model=mobilenet_v3_small data=digits
model=diagram_cnn data=digits
model=transformer_encoder data=entities
model=transformer data=reverse data.num_samples=4000
experiment=topics_lstm
"""  # in the order of their cost, so that --healthy 20 is the cheapest third

SEED = 42


def healthy_runs(count: int) -> list[tuple[str, dict[str, str]]]:
    """The first `count` of them: the line, and its words."""
    lines = LINES.strip().splitlines()
    return [
        (line, dict(word.split("=", 1) for word in line.split()) | {"trainer.threads": "1"}) for line in lines[:count]
    ]

"""Names of other tools for what is trained: data, models, losses and regularization."""

from __future__ import annotations

from dlexp.config.habits.habit import Habit

_CSV = "data=csv data.path=people.csv data.target=y"
_AUTOMATIC = "order and loading of batches are set by dlexp"
_FROM_DATA = "the shapes of inputs and outputs follow from the data"

DATA = (
    Habit("scripts", "dataset data_set dataset_name datamodule", "data={}", example="iris"),
    Habit("Keras, Lightning", "batch_size batchsize", "data.batch_size={}", example="32"),
    Habit("timm", "b batch mini_batch_size train_batch_size", "data.batch_size={}", example="32"),
    Habit("fastai", "bs", "data.batch_size={}", example="32"),
    Habit(
        "Hugging Face",
        "per_device_train_batch_size per_gpu_train_batch_size",
        "data.batch_size={}",
        example="8",
    ),
    Habit("Hugging Face", "per_device_eval_batch_size eval_batch_size", "data.eval_batch_size={}", example="8"),
    Habit(
        "Keras, timm",
        "validation_batch_size val_batch_size valid_batch_size test_batch_size vb",
        "data.eval_batch_size={}",
        example="8",
    ),
    Habit(
        "Hugging Face, Lightning 1",
        "auto_find_batch_size auto_scale_batch_size",
        "data.batch_size=auto",
        cases={"true": "data.batch_size=auto", "false": ""},
        example="true",
    ),
    Habit(
        "PyTorch, Hugging Face, timm",
        "num_workers dataloader_num_workers n_workers workers nw",
        "data.workers={}",
        example="4",
        beside="data=image_folder data.path=images",
    ),
    Habit(
        "PyTorch, timm",
        "pin_memory pin_mem prefetch prefetch_factor persistent_workers shuffle drop_last cache",
        "",
        _AUTOMATIC,
        example="true",
    ),
    Habit(
        "timm, scripts",
        "data_dir data_path dataset_path dataset_dir dataroot data_root root train_dir path",
        "data.path={}",
        example="people.csv",
        beside="data=csv data.target=y",
    ),
    Habit(
        "Hugging Face",
        "train_file train_csv csv csv_file input_path",
        "data=csv data.path={}",
        example="people.csv",
        beside="data.target=y",
    ),
    Habit(
        "pandas, fastai",
        "target target_column target_col label_col y_names y_col label y",
        "data.target={}",
        example="y",
        beside="data=csv data.path=people.csv",
    ),
    Habit("Ludwig", "output_features", "data.target={}", example="y", beside="data=csv data.path=people.csv"),
    Habit("fastai", "cat_names categorical_features cat_cols", "data.categorical={}", example="[city]", beside=_CSV),
    Habit("pandas", "sep delimiter", "data.separator={}", example='";"', beside=_CSV),
    Habit("pandas", "na_values", "data.missing_values={}", example="[-]", beside=_CSV),
    Habit("pandas", "drop_columns exclude_columns ignore_columns", "data.drop={}", example="[city]", beside=_CSV),
    Habit("Keras", "validation_split val_split val_ratio val_size val_frac", "data.val_fraction={}", example="0.2"),
    Habit("fastai", "valid_pct", "data.val_fraction={}", example="0.2"),
    Habit("scikit-learn", "validation_fraction", "data.val_fraction={}", example="0.2"),
    Habit("scikit-learn", "test_size test_split test_ratio", "data.test_fraction={}", example="0.2"),
    Habit("scripts", "aug augmentation augmentations data_augmentation", "data.augment={}", example="crop"),
    Habit("timm", "aa auto_augment", "data.augment=randaugment", "data.augment has presets", is_sure=False),
    Habit("timm", "no_aug", "data.augment=none", example=""),
    Habit(
        "fastai, timm",
        "batch_tfms item_tfms transforms transform hflip vflip color_jitter",
        "data.augment=standard",
        "data.augment takes a preset or a list of operations",
        example="flip",
        is_sure=False,
    ),
    Habit(
        "timm, Keras",
        "img_size imgsz image_size input_size size",
        "data.image_size={}",
        example="64",
        beside="data=image_folder data.path=images",
    ),
)

MODEL = (
    Habit("timm", "model", "model={}", example="resnet18"),
    Habit("fastai, PyTorch", "arch architecture backbone net network encoder", "model={}", example="resnet18"),
    Habit("Hugging Face", "model_name_or_path model_name model_id", "model={}", example="resnet18"),
    Habit("Ludwig", "model_type combiner", "model={}", example="mlp"),
    Habit("scikit-learn", "hidden_layer_sizes", "model=mlp model.hidden={}", example="[256,128]"),
    Habit(
        "fastai, scripts",
        "layers hidden_dims hidden_sizes hidden_units hidden_size hidden_dim widths units",
        "model=mlp model.hidden={}",
        example="[256,128]",
    ),
    Habit("timm", "act_layer act activation_fn nonlinearity", "model.activation={}", example="relu"),
    Habit("timm", "norm_layer normalization", "model.norm={}", example="batch"),
    Habit(
        "timm, fastai",
        "pretrained use_pretrained",
        "model=torchvision model.name=resnet18 model.pretrained=true",
        "networks with pretrained weights are those of model=torchvision and model=timm",
        cases={"false": ""},
        example="",
        is_sure=False,
    ),
    Habit(
        "timm, Hugging Face",
        "num_classes num_labels n_classes n_out in_chans in_channels input_dim input_shape",
        "",
        _FROM_DATA,
        example="10",
    ),
    Habit("PyTorch, Keras", "criterion loss_fn loss_func loss_function", "loss={}", example="CrossEntropyLoss"),
    Habit("Keras", "class_weight", "loss.class_weights={}", example="balanced"),
)

REGULARIZATION = (
    Habit("Keras, Ludwig", "dropout dropout_rate dropout_prob p_dropout", "regularization.dropout={}", example="0.2"),
    Habit("timm", "drop drop_rate", "regularization.dropout={}", example="0.2"),
    Habit("fastai", "ps", "regularization.dropout={}", example="0.2"),
    Habit("Hugging Face", "hidden_dropout_prob", "regularization.dropout={}", example="0.2"),
    Habit("timm", "smoothing", "regularization.label_smoothing={}", example="0.1"),
    Habit("Hugging Face", "label_smoothing_factor label_smooth", "regularization.label_smoothing={}", example="0.1"),
    Habit("Keras", "label_smoothing", "regularization.label_smoothing={}", example="0.1"),
    Habit("timm", "mixup mixup_alpha", "regularization.mixup={}", example="0.2"),
    Habit("timm", "cutmix cutmix_alpha", "regularization.cutmix={}", example="1.0"),
    Habit("timm", "reprob random_erasing_prob", "regularization.random_erasing={}", example="0.25"),
    Habit("Ludwig", "regularization_lambda l2_lambda l2_reg", "regularization.l2={}", example="0.001"),
    Habit("scripts", "l1_lambda l1_reg", "regularization.l1={}", example="0.001"),
    Habit("timm", "model_ema use_ema ema", "regularization=ema", cases={"true": "regularization=ema", "false": ""}, example=""),
    Habit("timm", "model_ema_decay ema_decay", "regularization.ema.decay={}", example="0.999"),
    Habit(
        "Lightning 1",
        "stochastic_weight_avg swa use_swa",
        "regularization=swa",
        cases={"true": "regularization=swa", "false": ""},
        example="true",
    ),
    Habit("Lightning", "swa_lrs swa_lr", "regularization.swa.start_epoch=5 regularization.swa.lr={}", example="0.01", is_sure=False),
    Habit("Lightning", "swa_epoch_start swa_start", "regularization.swa.start_epoch={}", example="5"),
)

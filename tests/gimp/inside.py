# mypy: ignore-errors
# ruff: noqa: E402
"""What the add-on's tests can call inside GIMP: run there, not imported."""

import array
import random

import gi

gi.require_version("Babl", "0.1")
gi.require_version("Gegl", "0.4")
from gi.repository import Babl, Gegl, Gimp, Gio

Gegl.init(None)


def call(name, **arguments):
    """Run a procedure: the status, then what it returned."""
    procedure = Gimp.get_pdb().lookup_procedure(name)
    config = procedure.create_config()
    for key, value in arguments.items():
        key = key.replace("_", "-")
        if key == "drawables":
            config.set_core_object_array(key, value)
        else:
            config.set_property(key, Gio.File.new_for_path(value) if key == "file" else value)
    values = procedure.run(config)
    return [values.index(place) for place in range(values.length())]


def outcome(name, **arguments):
    """The same in words: "success", or why not."""
    arguments = {"run_mode": Gimp.RunMode.NONINTERACTIVE, "quality": "preview", **arguments}
    status = call(name, **arguments)[0]
    return "success" if status == Gimp.PDBStatusType.SUCCESS else Gimp.get_pdb().get_last_error()


def glaze(*layers, **arguments):
    return outcome("plug-in-glaze-layer", image=image, drawables=list(layers), **arguments)


def export(path, **arguments):
    return outcome("plug-in-glaze-export", image=image, file=path, **arguments)


def area(drawable):
    return Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())


def native(drawable, depth=None):
    encoding = Babl.format_get_encoding(drawable.get_format())
    if depth:
        encoding = encoding.split()[0] + " " + depth
    return Babl.get_name(Babl.format_with_space(encoding, Babl.format_get_space(drawable.get_format())))


def pixels(drawable):
    """Its own bytes."""
    return bytes(drawable.get_buffer().get(area(drawable), 1.0, None, Gegl.AbyssPolicy.NONE))


def paint(drawable, data, format=None):
    buffer = drawable.get_buffer()
    buffer.set(area(drawable), format or native(drawable), data)
    buffer.flush()
    drawable.update(0, 0, drawable.get_width(), drawable.get_height())


def noise(drawable, alpha=None, seed=1, top=1.0):
    """Fill it; alpha: the same for all pixels."""
    format = native(drawable, "float")
    count = (1 if drawable.is_gray() else 3) + drawable.has_alpha()
    draw = random.Random(seed).random
    samples = array.array("f", [top * draw() for _ in range(count * drawable.get_width() * drawable.get_height())])
    if drawable.has_alpha():
        shares = samples[count - 1 :: count] if alpha is None else array.array("f", [alpha] * (len(samples) // count))
        samples[count - 1 :: count] = array.array("f", [min(share, 1.0) for share in shares])
    paint(drawable, samples.tobytes(), format)


def new_image(width, height, precision="U8_NON_LINEAR", gray=False, profile=None):
    global image
    base = Gimp.ImageBaseType.GRAY if gray else Gimp.ImageBaseType.RGB
    image = Gimp.Image.new_with_precision(width, height, base, getattr(Gimp.Precision, precision))
    if profile:
        image.set_color_profile(getattr(Gimp.ColorProfile, profile)())
    return image


def new_layer(width, height, name="Layer", alpha=1.0, has_alpha=True, parent=None):
    gray = image.get_base_type() == Gimp.ImageBaseType.GRAY
    kinds = Gimp.ImageType
    kind = (
        (kinds.GRAYA_IMAGE if has_alpha else kinds.GRAY_IMAGE)
        if gray
        else (kinds.RGBA_IMAGE if has_alpha else kinds.RGB_IMAGE)
    )
    layer = Gimp.Layer.new(image, name, width, height, kind, 100, Gimp.LayerMode.NORMAL)
    image.insert_layer(layer, parent, 0)
    noise(layer, alpha)
    return layer


def prepare(width, height, **options):
    """An image with one layer; "alpha" and "has_alpha" are the layer's."""
    global layer
    of_layer = {name: options.pop(name) for name in ("alpha", "has_alpha") if name in options}
    new_image(width, height, **options)
    layer = new_layer(width, height, **of_layer)


def show():
    """A window for the image, which looks as if it had just been opened."""
    image.undo_disable()
    image.undo_enable()
    image.clean_all()
    Gimp.Display.new(image)
    Gimp.displays_flush()


def tree(layers=None):
    """Names and visibility from the top down; of a group also what is in it."""
    layers = image.get_layers() if layers is None else layers
    return [
        [one.get_name(), one.get_visible(), *([tree(one.get_children())] if one.is_group() else [])] for one in layers
    ]


def named(name):
    return image.get_layer_by_name(name)

"""How things, colours, sizes, places and pictures are called by people; each maps to one of the world's words."""

SHAPE_WAYS = {
    "circle": (
        ("circle", "circles"), ("disc", "discs"), ("disk", "disks"), ("round shape", "round shapes"), ("round dot", "round dots"),
        ("filled circle", "filled circles"), ("solid circle", "solid circles"),
    ),
    "square": (
        ("square", "squares"), ("square shape", "square shapes"), ("square block", "square blocks"), ("solid square", "solid squares"),
        ("filled square", "filled squares"),
    ),
    "triangle": (
        ("triangle", "triangles"), ("three-sided shape", "three-sided shapes"), ("triangle shape", "triangle shapes"),
        ("triangular shape", "triangular shapes"), ("solid triangle", "solid triangles"),
    ),
    "star": (("star", "stars"), ("five-pointed star", "five-pointed stars"), ("star shape", "star shapes"), ("5-pointed star", "5-pointed stars")),
    "diamond": (
        ("diamond", "diamonds"), ("rhombus", "rhombuses"), ("diamond shape", "diamond shapes"), ("rhomb", "rhombs"),
        ("diamond-shaped thing", "diamond-shaped things"),
    ),
    "cross": (
        ("cross", "crosses"), ("plus", "pluses"), ("plus sign", "plus signs"), ("plus symbol", "plus symbols"), ("plus shape", "plus shapes"),
        ("cross shape", "cross shapes"),
    ),
}  # fmt: skip
SHAPE_WAYS_LOOSE = {
    "circle": (("dot", "dots"), ("round thing", "round things"), ("blob", "blobs"), ("spot", "spots")),
    "square": (("square thing", "square things"),),
    "triangle": (("triangle thing", "triangle things"), ("pointy triangle", "pointy triangles")),
    "star": (("star thing", "star things"), ("starry shape", "starry shapes")),
    "diamond": (("tilted square", "tilted squares"), ("diamond thing", "diamond things"), ("square on its tip", "squares on their tips")),
    "cross": (("plus thing", "plus things"), ("plus mark", "plus marks"), ("cross thing", "cross things")),
}  # fmt: skip
COLOUR_WAYS = {
    "red": ("red", "bright red", "plain red"),
    "green": ("green", "bright green", "plain green"),
    "blue": ("blue", "bright blue", "plain blue"),
    "yellow": ("yellow", "bright yellow", "lemon yellow"),
    "purple": ("purple", "violet", "bright purple"),
    "orange": ("orange", "bright orange"),
    "cyan": ("cyan", "turquoise", "light blue", "aqua", "bright cyan"),
    "pink": ("pink", "bright pink", "light pink"),
}  # fmt: skip
COLOUR_WAYS_LOOSE = {
    "red": ("scarlet", "fire-engine red", "reddish", "tomato red"),
    "green": ("grass green", "leaf green", "greenish"),
    "blue": ("royal blue", "bluish"),
    "yellow": ("sunny yellow", "canary yellow", "yellowish"),
    "purple": ("purplish", "plum purple"),
    "orange": ("orangey", "tangerine orange"),
    "cyan": ("sky blue", "pale blue", "aquamarine", "cyan-coloured"),
    "pink": ("rosy pink", "bubblegum pink", "pinkish"),
}  # fmt: skip
BACKGROUND_WAYS = {
    "white": ("white", "plain white", "all white", "pure white"),
    "black": ("black", "plain black", "all black", "pitch black", "pure black"),
    "gray": ("gray", "grey", "plain gray", "plain grey", "medium gray"),
    "tan": ("tan", "beige", "plain tan", "sandy tan", "light brown"),
    "navy": ("navy", "navy blue", "dark blue", "deep blue", "plain navy"),
}  # fmt: skip
BACKGROUND_WAYS_LOOSE = {
    "white": ("blank", "snow white"),
    "black": ("coal black",),
    "gray": ("greyish", "grayish"),
    "tan": ("sand-coloured", "sandy"),
    "navy": ("midnight blue", "very dark blue"),
}  # fmt: skip
SIZE_WAYS = {
    "small": (
        "small", "little", "tiny", "wee", "teeny", "mini", "teeny tiny", "itty-bitty", "teensy", "smallish", "really small", "petite", "compact",
        "miniature", "lil", "small-sized", "ickle",
    ),
    "large": (
        "large", "big", "huge", "giant", "great big", "big ol'", "enormous", "massive", "really big", "whopping", "jumbo", "biggish", "gigantic",
        "mega", "large-sized", "hefty", "king-size",
    ),
}  # fmt: skip
SIZER_WAYS = {
    "small": ("smaller", "tinier", "littler", "less big", "a bit smaller", "much smaller"),
    "large": ("bigger", "larger", "a bit bigger", "much bigger", "way bigger", "a lot larger"),
}  # fmt: skip
GROW_WAYS = {
    "small": ("shrink", "reduce", "scale down", "size down", "downsize", "minimize"),
    "large": ("enlarge", "grow", "scale up", "size up", "blow up", "magnify", "expand"),
}  # fmt: skip
CORNER_WAYS = {
    "top left": ("top left", "upper left", "top-left", "upper-left", "left top", "upper left-hand", "top left-hand", "north-west"),
    "top right": ("top right", "upper right", "top-right", "upper-right", "right top", "upper right-hand", "top right-hand", "north-east"),
    "bottom left": ("bottom left", "lower left", "bottom-left", "lower-left", "left bottom", "lower left-hand", "bottom left-hand", "south-west"),
    "bottom right": (
        "bottom right", "lower right", "bottom-right", "lower-right", "right bottom", "lower right-hand", "bottom right-hand", "south-east",
    ),
}  # fmt: skip
PLACE_WAYS = {
    "top left": (
        "at the top left", "in the top left", "in the top left corner", "in the upper left", "in the upper left-hand corner", "at upper left",
        "up top on the left", "on the left at the top", "top left", "in the top-left quarter", "in the upper left quadrant", "at the top on the left",
        "in the left corner at the top", "up in the left corner", "on the top left side", "in the top left bit", "in the NW corner",
        "up there on the left", "in the top left-hand corner", "top left-hand side", "to the top left", "in the upper-left", "in the first quarter",
        "up and to the left", "on the upper left",
    ),
    "top right": (
        "at the top right", "in the top right", "in the top right corner", "in the upper right", "in the upper right-hand corner", "at upper right",
        "up top on the right", "on the right at the top", "top right", "in the top-right quarter", "in the upper right quadrant",
        "at the top on the right", "in the right corner at the top", "up in the right corner", "on the top right side", "in the top right bit",
        "in the NE corner", "up there on the right", "in the top right-hand corner", "top right-hand side", "to the top right", "in the upper-right",
        "up and to the right", "on the upper right",
    ),
    "bottom left": (
        "at the bottom left", "in the bottom left", "in the bottom left corner", "in the lower left", "in the lower left-hand corner",
        "at lower left", "down low on the left", "on the left at the bottom", "bottom left", "in the bottom-left quarter",
        "in the lower left quadrant", "at the bottom on the left", "in the left corner at the bottom", "down in the left corner",
        "on the bottom left side", "in the bottom left bit", "in the SW corner", "down there on the left", "in the bottom left-hand corner",
        "bottom left-hand side", "to the bottom left", "in the lower-left", "down and to the left", "on the lower left",
    ),
    "bottom right": (
        "at the bottom right", "in the bottom right", "in the bottom right corner", "in the lower right", "in the lower right-hand corner",
        "at lower right", "down low on the right", "on the right at the bottom", "bottom right", "in the bottom-right quarter",
        "in the lower right quadrant", "at the bottom on the right", "in the right corner at the bottom", "down in the right corner",
        "on the bottom right side", "in the bottom right bit", "in the SE corner", "down there on the right", "in the bottom right-hand corner",
        "bottom right-hand side", "to the bottom right", "in the lower-right", "down and to the right", "on the lower right",
    ),
}  # fmt: skip
SIDE_WAYS = {
    "left": ("on the left", "on the left side", "on the left-hand side", "to the left", "over on the left", "left side"),
    "right": ("on the right", "on the right side", "on the right-hand side", "to the right", "over on the right", "right side"),
    "top": ("at the top", "along the top", "up top", "in the top half", "up high", "in the upper half"),
    "bottom": ("at the bottom", "along the bottom", "down below", "in the bottom half", "down low", "in the lower half"),
}  # fmt: skip
PICTURE_WAYS = {
    "first": (
        "the first picture", "the first image", "the first one", "the first", "the 1st picture", "the 1st one", "picture 1", "picture one",
        "picture number 1", "picture number one", "picture #1", "pic 1", "pic #1", "image 1", "image one", "image #1", "image no. 1", "img 1",
        "number one", "number 1", "no. 1", "#1", "the very first picture", "the first pic", "the opening picture", "the picture I sent first",
        "the earliest picture", "the starting picture", "the first of them", "the first of the pictures", "the first drawing",
    ),
    "second": (
        "the second picture", "the second image", "the second one", "the second", "the 2nd picture", "the 2nd one", "picture 2", "picture two",
        "picture number 2", "picture number two", "picture #2", "pic 2", "pic #2", "image 2", "image two", "image #2", "image no. 2", "img 2",
        "number two", "number 2", "no. 2", "#2", "the second pic", "the second of them", "the second of the pictures", "the second drawing",
    ),
    "third": (
        "the third picture", "the third image", "the third one", "the third", "the 3rd picture", "the 3rd one", "picture 3", "picture three",
        "picture number 3", "picture #3", "pic 3", "pic #3", "image 3", "image three", "image #3", "image no. 3", "img 3", "number three", "number 3",
        "no. 3", "#3", "the third pic", "the third of them", "the third drawing",
    ),
    "fourth": (
        "the fourth picture", "the fourth image", "the fourth one", "the fourth", "the 4th picture", "the 4th one", "picture 4", "picture four",
        "picture number 4", "picture #4", "pic 4", "pic #4", "image 4", "image four", "image #4", "img 4", "number four", "number 4", "no. 4", "#4",
        "the fourth pic", "the fourth of them", "the fourth drawing",
    ),
    "last": (
        "the last picture", "the last image", "the last one", "the last", "the final picture", "the final image", "the final one", "the last pic",
        "the picture at the end", "the last of them", "the most recent picture", "the newest picture", "the one I sent last",
    ),
    "former of two": (
        "the former", "the former picture", "the first of the two", "the earlier one", "the earlier picture", "the one before", "the before picture",
        "the original picture",
    ),
    "latter of two": (
        "the latter", "the latter picture", "the second of the two", "the other one", "the other picture", "the later one", "the later picture",
        "the one after", "the after picture", "the changed picture", "the last of the two",
    ),
    "middle of three": ("the middle one", "the middle picture", "the one in the middle", "the picture in between", "the second of the three"),
}  # fmt: skip

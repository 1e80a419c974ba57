"""How several things are said: lists, grids, relations, counts."""

LIST_TWO = (
    "{one} and {two}", "{one}, {two}", "{one} plus {two}", "{one} + {two}", "{one} as well as {two}", "{one} and also {two}", "{one}, and {two}",
    "{one} & {two}", "{one}; {two}", "both {one} and {two}", "{one} together with {two}", "{one} along with {two}", "{one} with {two}",
    "{one}, then {two}", "{one} and then {two}", "{one}, also {two}", "{one}, plus {two}", "{one} accompanied by {two}", "{one} and, {two}",
    "first {one}, second {two}", "two things: {one} and {two}", "two shapes: {one}, {two}", "two shapes, {one} and {two}",
    "{one} and on top of that {two}", "{one}. Also {two}", "{one}. And {two}", "{one}. Plus {two}", "{one}, in addition {two}",
    "{one} but also {two}", "not only {one} but also {two}", "{one} and additionally {two}", "one picture with {one} and {two}",
    "the following: {one}, {two}", "1) {one} 2) {two}", "{one} / {two}", "{one} n {two}", "{one} and {two} too", "{one} and {two} as well",
)  # fmt: skip
LIST_THREE = (
    "{one}, {two} and {three}", "{one}, {two}, and {three}", "{one}, {two}, {three}", "{one} and {two} and {three}", "{one} plus {two} plus {three}",
    "{one} + {two} + {three}", "{one}, {two} plus {three}", "{one}, {two} as well as {three}", "{one}; {two}; {three}",
    "{one}, then {two}, then {three}", "{one}, also {two}, and finally {three}", "three things: {one}, {two} and {three}",
    "three shapes: {one}, {two}, {three}", "{one} and {two}, plus {three}", "{one} with {two} and {three}", "{one}, along with {two} and {three}",
    "first {one}, then {two}, last {three}", "{one}, {two} & {three}", "{one}. {two}. {three}", "{one}. Also {two}. And {three}",
    "1) {one} 2) {two} 3) {three}", "1. {one}, 2. {two}, 3. {three}", "{one} / {two} / {three}", "{one}, {two} and also {three}",
    "{one} and {two}, and {three} too",
)  # fmt: skip
LIST_FOUR = (
    "{one}, {two}, {three} and {four}", "{one}, {two}, {three}, and {four}", "{one}, {two}, {three}, {four}",
    "{one} and {two} and {three} and {four}", "{one} plus {two} plus {three} plus {four}", "{one} + {two} + {three} + {four}",
    "{one}, {two}, {three} plus {four}", "{one}, {two}, {three} as well as {four}", "{one}; {two}; {three}; {four}",
    "{one} and {two}, plus {three} and {four}", "{one} with {two}, and {three} with {four}", "four things: {one}, {two}, {three} and {four}",
    "four shapes: {one}, {two}, {three}, {four}", "first {one}, then {two}, then {three}, last {four}", "{one}, {two}, {three} & {four}",
    "{one}. {two}. {three}. {four}", "1) {one} 2) {two} 3) {three} 4) {four}", "{one} / {two} / {three} / {four}",
    "{one}, {two}, {three}, and lastly {four}", "{one} and {two}; also {three} and {four}",
)  # fmt: skip
GRID = (
    "top left: {tl}, top right: {tr}, bottom left: {bl}, bottom right: {br}", "top left {tl}, top right {tr}, bottom left {bl}, bottom right {br}",
    "top: {tl} and {tr}; bottom: {bl} and {br}", "top row: {tl}, {tr}. bottom row: {bl}, {br}", "first row {tl}, {tr}; second row {bl}, {br}",
    "upper left {tl}, upper right {tr}, lower left {bl}, lower right {br}", "TL: {tl} TR: {tr} BL: {bl} BR: {br}",
    "TL {tl}, TR {tr}, BL {bl}, BR {br}", "left column: {tl} over {bl}; right column: {tr} over {br}",
    "going clockwise from the top left: {tl}, {tr}, {br}, {bl}", "in reading order: {tl}, {tr}, {bl}, {br}", "{tl} | {tr} / {bl} | {br}",
    "a grid: {tl}, {tr} on top, {bl}, {br} underneath", "up top {tl} then {tr}, down below {bl} then {br}",
)  # fmt: skip
ROW_PAIR = {
    "top": (
        "top row: {tl}, {tr}", "along the top {tl} and {tr}", "at the top, {tl} on the left and {tr} on the right", "up top {tl} then {tr}",
        "upper half: {tl} left, {tr} right",
    ),
    "bottom": (
        "bottom row: {bl}, {br}", "along the bottom {bl} and {br}", "at the bottom, {bl} on the left and {br} on the right",
        "down below {bl} then {br}", "lower half: {bl} left, {br} right",
    ),
    "left": (
        "left side: {tl} at the top, {bl} at the bottom", "down the left {tl} and then {bl}", "on the left, {tl} above {bl}",
        "left column {tl}, {bl}",
    ),
    "right": (
        "right side: {tr} at the top, {br} at the bottom", "down the right {tr} and then {br}", "on the right, {tr} above {br}",
        "right column {tr}, {br}",
    ),
}  # fmt: skip
RELATION_VERTICAL = (
    "{up} above {down}", "{up} over {down}", "{up} on top of {down}", "{up} directly above {down}", "{up} right above {down}",
    "{up} straight above {down}", "{up} just above {down}", "{up} that is above {down}", "{up} sitting above {down}", "{up} placed above {down}",
    "{up} up above {down}", "{up} higher than {down}", "{up} floating above {down}", "{up} hovering over {down}", "{up} atop {down}",
    "{up}, and under it {down}", "{up} and below it {down}", "{up} with {down} below it", "{up} with {down} underneath",
    "{up} with {down} beneath it", "{up} with {down} under it", "{up} and right under it {down}", "{up} with {down} directly below",
    "{up} and, beneath it, {down}", "{up} which has {down} below it", "{up} first and {down} below", "{up} at the top and {down} below it",
    "{up} up top and {down} down below", "{down} below {up}", "{down} under {up}", "{down} beneath {up}", "{down} underneath {up}",
    "{down} directly below {up}", "{down} right below {up}", "{down} just under {up}", "{down} that is below {up}", "{down} sitting under {up}",
    "{down} placed below {up}", "{down} lower than {up}", "{down} with {up} above it", "{down} with {up} on top", "{down} with {up} over it",
    "{down} and above it {up}", "{down}, above it {up}", "{down} and on top of it {up}", "{down} with {up} directly above",
    "{down} which has {up} above it", "{down} topped by {up}", "{down} at the bottom with {up} above", "two shapes, {up} above {down}",
    "a stack: {up} over {down}", "one over the other: {up} on {down}", "from top to bottom {up} and {down}", "from top to bottom: {up}, {down}",
    "in a column, {up} then {down}",
)  # fmt: skip
RELATION_HORIZONTAL = (
    "{left} left of {right}", "{left} to the left of {right}", "{left} on the left of {right}", "{left} on the left side of {right}",
    "{left} on the left and {right} on the right", "{left} left, {right} right", "{left} immediately left of {right}",
    "{left} directly to the left of {right}", "{left} just left of {right}", "{left} that is left of {right}", "{left} placed to the left of {right}",
    "{left} sitting left of {right}", "{left} with {right} to its right", "{left} with {right} on its right", "{left} with {right} on the right side",
    "{left} with {right} to the right of it", "{left} and to its right {right}", "{left} and right of it {right}",
    "{left} and, to the right, {right}", "{left} followed by {right}", "{left} on the left with {right} on the right",
    "{left} which has {right} on its right", "{left} before {right}", "{left} then {right}, left to right", "{right} right of {left}",
    "{right} to the right of {left}", "{right} on the right of {left}", "{right} on the right side of {left}",
    "{right} on the right and {left} on the left", "{right} immediately right of {left}", "{right} directly to the right of {left}",
    "{right} just right of {left}", "{right} that is right of {left}", "{right} placed to the right of {left}", "{right} with {left} to its left",
    "{right} with {left} on its left", "{right} with {left} on the left side", "{right} with {left} to the left of it",
    "{right} and to its left {left}", "{right} and left of it {left}", "{right} which has {left} on its left", "{right} after {left}",
    "from left to right {left} and {right}", "from left to right: {left}, {right}", "in a row, {left} then {right}",
    "two shapes in a row, {left} and {right}",
)  # fmt: skip
RELATION_BESIDE = (
    "{one} beside {two}", "{one} next to {two}", "{one} side by side with {two}", "{one} and {two} side by side", "{one} alongside {two}",
    "{one} adjacent to {two}", "{one} by {two}", "{one} right next to {two}", "{one} close to {two}", "{one} next door to {two}",
    "{one} and next to it {two}", "{one} and beside it {two}", "{one} with {two} next to it", "{one} with {two} beside it",
    "{one} with {two} at its side", "{one} and {two} next to each other", "{one} and {two} beside each other", "{one} and {two} in a row",
    "{one} and {two} in one row", "{one} and its neighbour {two}", "{one} and {two} in a line", "{one} near {two}", "{one} standing beside {two}",
    "{one} sitting next to {two}",
)  # fmt: skip
RELATION_DIAGONAL = (
    "{one} {place} and {two} diagonally opposite", "{one} {place} and {two} in the opposite corner",
    "{one} {place}, {two} in the corner across from it", "{one} {place} with {two} in the opposite corner",
    "{one} {place} and diagonally across {two}", "{one} {place}, diagonally opposite it {two}",
    "{one} {place}; {two} on the other end of the diagonal", "{one} {place} and {two} kitty-corner from it",
)  # fmt: skip
RELATION_PLACED = {
    "same row": (
        "{one} {place} and {two} next to it", "{one} {place} with {two} beside it", "{one} {place} and {two} in the other corner of the same row",
        "{one} {place}, next to it {two}", "{two} next to {one} that is {place}", "{one} {place}. Beside it {two}",
    ),
    "below": (
        "{one} {place} and {two} below it", "{one} {place} with {two} underneath", "{one} {place}. Directly under it {two}",
        "{one} {place}, beneath it {two}", "{one} {place} and {two} right under it",
    ),
    "above": (
        "{one} {place} and {two} above it", "{one} {place} with {two} on top", "{one} {place}. Directly over it {two}",
        "{one} {place}, above it {two}", "{one} {place} and {two} right over it",
    ),
}  # fmt: skip
COUNT_ANY = (
    "{number} {things}", "{number} identical {things}", "{number} of the same {thing}", "{number} equal {things}", "{number} {things} in all",
    "{number} {things}, all the same", "exactly {number} {things}", "just {number} {things}", "only {number} {things}",
    "{number} copies of {a_thing}", "{number} times {a_thing}", "{thing} times {number}", "{a_thing}, {number} of them", "{things}, {number} of them",
    "{things}: {number}", "{number} separate {things}", "{number} matching {things}", "a group of {number} {things}", "a set of {number} {things}",
    "{number} {things} please", "{number} {things} and nothing else", "{number} {things}, no more, no less", "{a_thing} repeated {number} times",
    "{a_thing} and its twins, {number} in total", "{things} ({number})", "a picture of {number} {things}", "{number} pieces of {thing}",
    "{number} lovely {things}", "{number} {things} altogether", "a total of {number} {things}",
)  # fmt: skip
COUNT_ONE = (
    "one {thing}", "a single {thing}", "just one {thing}", "only one {thing}", "1 {thing}", "one {thing} and that's it", "exactly one {thing}",
    "one lonely {thing}", "a lone {thing}", "one {thing}, nothing else", "a solitary {thing}",
)  # fmt: skip
COUNT_TWO = (
    "a pair of {things}", "a couple of {things}", "twin {things}", "two of the same: {things}", "{a_thing} and another one just like it",
    "{a_thing} and another {thing}", "{a_thing} and its twin", "{a_thing} twice", "{a_thing}, two times", "double {thing}",
    "both {things}, two of them", "{a_thing} and one more {thing}", "{a_thing} and a second one", "a duo of {things}", "two {things} that look alike",
)  # fmt: skip
COUNT_THREE = (
    "a trio of {things}", "{a_thing} three times", "{a_thing} and two more like it", "three of the same {thing}",
    "{a_thing}, another one and another one", "triplet {things}", "a threesome of {things}", "{things} in three of the corners",
)  # fmt: skip
COUNT_FOUR = (
    "{a_thing} in every corner", "{a_thing} in each corner", "{a_thing} in all four corners", "one {thing} in every corner", "one {thing} per corner",
    "one {thing} in each quarter", "{things} in all corners", "{things} in all four corners", "{things} everywhere",
    "every corner filled with {a_thing}", "four identical {things}", "four of them, {things}", "a full set of {things}, one in each corner",
    "{a_thing} four times", "all corners: {thing}", "all four: {thing}", "the whole picture full of {things}, four of them",
    "{a_thing} in each of the four places", "{things}, one for each corner", "as many {things} as fit, four", "a quartet of {things}",
    "two rows of two {things}", "a two by two grid of {things}", "a 2x2 grid of {things}",
)  # fmt: skip
COUNT_DIGITS = (
    "{number}x {thing}", "{number} x {thing}", "{thing} x{number}", "{thing} x {number}", "{things} ({number})", "{number} {things}",
    "{things}: {number}", "{number}* {thing}", "({number}) {things}", "#{things}={number}",
)  # fmt: skip
COUNT_LINES = {
    "top row": (
        "two {things} along the top", "a row of two {things} at the top", "two {things} side by side at the top", "a pair of {things} up top",
        "both top corners with {a_thing}", "{a_thing} in both top corners", "{a_thing} in each upper corner", "{things} in the top corners",
        "two {things} in the upper half", "{things} at the top left and top right", "two {things}, both at the top", "the top row full of {things}",
    ),
    "bottom row": (
        "two {things} along the bottom", "a row of two {things} at the bottom", "two {things} side by side at the bottom",
        "a pair of {things} down below", "both bottom corners with {a_thing}", "{a_thing} in both bottom corners", "{a_thing} in each lower corner",
        "{things} in the bottom corners", "two {things} in the lower half", "{things} at the bottom left and bottom right",
        "two {things}, both at the bottom", "the bottom row full of {things}",
    ),
    "left column": (
        "two {things} on the left", "two {things}, both on the left side", "two {things}, one above the other, on the left",
        "a column of two {things} on the left", "{a_thing} in both left corners", "{things} down the left side",
        "two {things} stacked on the left-hand side", "{things} at the top left and bottom left",
    ),
    "right column": (
        "two {things} on the right", "two {things}, both on the right side", "two {things}, one above the other, on the right",
        "a column of two {things} on the right", "{a_thing} in both right corners", "{things} down the right side",
        "two {things} stacked on the right-hand side", "{things} at the top right and bottom right",
    ),
    "falling diagonal": (
        "two {things} at the top left and bottom right", "{a_thing} at the top left and the same at the bottom right",
        "two {things} on the diagonal from top left to bottom right", "{things} in two opposite corners, top left and bottom right",
    ),
    "rising diagonal": (
        "two {things} at the top right and bottom left", "{a_thing} at the top right and the same at the bottom left",
        "two {things} on the diagonal from bottom left to top right", "{things} in two opposite corners, top right and bottom left",
    ),
    "all but one": (
        "{things} in every corner but the {corner}", "{things} everywhere except the {corner}",
        "{a_thing} in three corners, the {corner} stays empty", "three {things}, leave the {corner} empty", "three {things}, nothing in the {corner}",
    ),
}  # fmt: skip
COUNT_MIXED_COLOURS = (
    "{number} {shapes}: {colours}", "{number} {shapes}, {colours}", "{number} {shapes} in {colours}", "{number} {shapes} coloured {colours}",
    "{shapes} in {colours}", "{number} {shapes}, one each in {colours}", "{number} {shapes}, the colours are {colours}",
    "{colours} {shapes}, {number} in total", "{shapes} of different colors: {colours}",
)  # fmt: skip
COUNT_MIXED_SHAPES = (
    "{number} {colour} shapes: {listed}", "{number} {colour} things, {listed}", "{listed}, all {colour}", "{listed}, all in {colour}",
    "{listed}, each of them {colour}", "{colour} shapes: {listed}", "{listed}, every one {colour}", "{listed} in {colour}, all of them",
)  # fmt: skip
COUNT_GROUPS = (
    "{many} and {more}", "{many}, {more}", "{many} plus {more}", "{many} as well as {more}", "{many} along with {more}", "{many} + {more}",
    "{many} and also {more}", "{many} together with {more}", "first {many}, then {more}", "{many} then {more}", "{many}; {more}", "{many} & {more}",
    "both {many} and {more}", "{many} accompanied by {more}", "{many}, and after them {more}",
)  # fmt: skip

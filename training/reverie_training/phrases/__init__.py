"""Ways of saying things, collected: tables of phrases with slots, and nothing else. What fills a slot is a task's to say.

| slots | are filled with |
| --- | --- |
| `thing` `a_thing` `things` | red circle, a red circle, red circles; small or not |
| `shape` `a_shape` `shapes`, `colour` `a_colour`, `size` `a_size` | one attribute, with an article, several |
| `place`, `corner`, `side_place` | at the top left, top left, on the left |
| `sizer`, `grow` | bigger or smaller, enlarge or shrink |
| `ground` `a_ground` | a background's colour |
| `it` | what is to be drawn; in a change, the thing that is meant |
| `this`, `other`, `side` | the thing of a given picture, another thing, left of |
| `one` `two` `three` `four`, `up` `down` `left` `right`, `tl` `tr` `bl` `br` | things of a list, of a relation, of corners |
| `number`, `many` `more`, `colours` `listed` | how many, groups of things, what they are one by one |
| `first` `second`, `question` | requests in a request |
| `noun`, `which`, `object`, `on` | picture or image, the second picture, shape or thing, on a white background |
"""

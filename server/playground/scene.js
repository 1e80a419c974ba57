// Draws the built-in model's world: up to four coloured shapes, one in each quarter of 64 × 64 pixels.
// Colours and outlines are those of its training pictures (server/eval/src/world/drawing.rs).

const side = 64;
const inks = { red: "#d72328", green: "#28a541", blue: "#2d55e6", yellow: "#f5d72d", purple: "#8732b9", orange: "#f58219",
  cyan: "#37cddc", pink: "#f587c3" };
const papers = { white: "#f6f6f6", black: "#101012", gray: "#808082", tan: "#cdb48c", navy: "#162058" };
const corners = { "top left": [16, 16], "top right": [48, 16], "bottom left": [16, 48], "bottom right": [48, 48] };

/** `scene("navy", "large red circle at the top left", …)` as a data URL. */
export function scene(paper, ...things) {
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const pen = canvas.getContext("2d");
  pen.fillStyle = papers[paper];
  pen.fillRect(0, 0, side, side);
  for (const thing of things) {
    const [, size, ink, shape, corner] = /^(\w+) (\w+) (\w+) at the (.+)$/.exec(thing);
    pen.fillStyle = inks[ink];
    pen.setTransform(1, 0, 0, 1, ...corners[corner]);
    pen.fill(outline(shape, size === "small" ? 8.5 : 13));
  }
  return canvas.toDataURL("image/png");
}

function outline(shape, radius) {
  const path = new Path2D();
  if (shape === "circle") path.arc(0, 0, 0.97 * radius, 0, 2 * Math.PI);
  else for (const [x, y] of points[shape]) path.lineTo(x * radius, y * radius);
  return path;
}

const points = {
  square: [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
  triangle: [[0, -1], [1, 0.85], [-1, 0.85]],
  diamond: [[0, -1], [0.78, 0], [0, 1], [-0.78, 0]],
  star: Array.from({ length: 10 }, (_, corner) => {
    const reach = corner % 2 === 0 ? 1.08 : 0.45, angle = -Math.PI / 2 + (corner * Math.PI) / 5;
    return [reach * Math.cos(angle), reach * Math.sin(angle)];
  }),
  cross: [[-0.34, -1], [0.34, -1], [0.34, -0.34], [1, -0.34], [1, 0.34], [0.34, 0.34], [0.34, 1], [-0.34, 1], [-0.34, 0.34],
    [-1, 0.34], [-1, -0.34], [-0.34, -0.34]],
};

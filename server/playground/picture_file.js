// From files to pictures as data URLs. What the server reads is sent as it is; the rest that a browser can show, as PNG.

const read = ["image/png", "image/jpeg", "image/webp", "image/gif"];

/** `{ pictures: [{ url, name }], faults: [text] }`, in the order of `files`. */
export async function picturesOf(files) {
  const pictures = [], faults = [];
  for (const file of files) {
    try {
      const blob = read.includes(file.type) ? file : await asPng(file);
      pictures.push({ url: await dataUrl(blob), name: file.name });
    } catch {
      faults.push(`${file.name} is no picture that this browser can read.`);
    }
  }
  return { pictures, faults };
}

async function asPng(file) {
  const bitmap = await createImageBitmap(file);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

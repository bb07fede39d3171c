// Takes a picture as base64 of a PNG. Returns its size, at most 256 of its colours, and for each pixel the number of its
// colour, as base64 of bytes. Colours are merged with a more frequent one nearby until they are few enough.
async ([png, most]) => {
  const bytes = Uint8Array.from(atob(png), each => each.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes]));
  const { width, height } = image;
  const canvas = new OffscreenCanvas(width, height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const pixels = canvas.getImageData(0, 0, width, height).data;
  const colourAt = place => pixels[place] << 16 | pixels[place + 1] << 8 | pixels[place + 2];

  const counts = new Map();
  for (let place = 0; place < pixels.length; place += 4) {
    const colour = colourAt(place);
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const frequent = [...counts].sort((one, other) => other[1] - one[1] || one[0] - other[0]).map(([colour]) => colour);
  const parts = colour => [colour >> 16, colour >> 8 & 255, colour & 255];
  const distance = (one, other) => Math.hypot(...parts(one).map((part, place) => part - parts(other)[place]));

  let palette = frequent;
  for (let near = 2; palette.length > most; near += 2) {
    palette = [];
    for (const colour of frequent) if (!palette.some(each => distance(each, colour) < near)) palette.push(colour);
  }
  const numbers = new Map(frequent.map(colour => {
    const distances = palette.map(each => distance(each, colour));
    return [colour, distances.indexOf(Math.min(...distances))];
  }));
  const numbered = new Uint8Array(width * height).map((_, pixel) => numbers.get(colourAt(4 * pixel)));
  const address = await new Promise(done => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(new Blob([numbered]));
  });
  return { width, height, palette: palette.map(parts), pixels: address.split(",")[1] };
}

// Files that end in .gz are unpacked here, whatever the server does.
export async function unpacked(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error("missing");
  return new Response(answer.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

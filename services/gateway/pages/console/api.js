// The REST API. The key lives in this tab's sessionStorage and nowhere else.

const STORED = "lastframe-api-key";

export const key = {
  get: () => sessionStorage.getItem(STORED),
  set: (value) => sessionStorage.setItem(STORED, value),
  forget: () => sessionStorage.removeItem(STORED),
};

/** `word` is the API's `error`, `message` its `detail`. */
export class ApiError extends Error {
  constructor(status, { detail, error } = {}) {
    super(detail || `The server answered ${status || "nothing"}`);
    this.status = status;
    this.word = error || "unknown_error";
  }
}

const authorization = () => ({ Authorization: `Bearer ${key.get()}` });

export async function call(method, path, body) {
  const headers = authorization();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let reply;
  try {
    reply = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new ApiError(0, { detail: "The server cannot be reached", error: "unavailable" });
  }
  const answer = await reply.json().catch(() => ({}));
  if (!reply.ok) {
    if (reply.status === 401) dispatchEvent(new Event("signed-out"));
    throw new ApiError(reply.status, answer);
  }
  return answer;
}

/** Calls `onTask` with each change of a task until it has ended; reconnects when the stream breaks. */
export async function watch(taskId, onTask, signal) {
  while (!signal.aborted) {
    try {
      const path = `/api/v1/tasks/${taskId}/events`;
      const reply = await fetch(path, { headers: authorization(), signal });  // EventSource cannot send the key
      if (!reply.ok) throw new ApiError(reply.status, await reply.json().catch(() => ({})));
      for await (const task of events(reply.body)) {
        onTask(task);
        if (task.status === "completed" || task.status === "failed") return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status < 500) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) if (part.startsWith("data:")) yield JSON.parse(part.slice(5));
  }
}

/** Streams a file to the suite; resolves to its URL. `onProgress` gets 0-1. (fetch tells no upload progress.) */
export function upload(file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/v1/uploads?filename=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Authorization", `Bearer ${key.get()}`);
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () => request.status === 200
      ? resolve(request.response.url) : reject(new ApiError(request.status, request.response || {}));
    request.onerror = () => reject(new ApiError(0, { detail: "The upload broke off" }));
    request.onabort = () => reject(new ApiError(0, { detail: "The upload was stopped" }));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

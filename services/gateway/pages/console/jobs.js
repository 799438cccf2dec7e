// The six jobs as data: where they are submitted, what may be set, and which results they give.
// A field's `name` is its path in the request; what equals `preset` is not sent.

const choice = (name, label, options, hint) => ({ name, label, type: "choice", options, preset: options[0], hint });
const number = (name, label, min, max, preset, hint) => ({ name, label, type: "number", min, max, preset, hint });
const source = (name, label, accept) => ({ name, label, type: "source", accept, required: true });

const WEBHOOK = { name: "webhook_url", label: "Webhook", type: "url", hint: "Called once when the task has ended." };
const RESOLUTION = choice("output_settings.resolution", "Resolution", ["source", "480p", "720p", "1080p", "1440p", "4k"]);
const QUALITY = choice("output_settings.quality", "Quality", ["high", "medium", "low"]);

export const JOBS = [
  {
    kind: "last_frame", title: "Last frame", path: "/api/v1/process",
    about: "The very last picture that the video shows, as an image.",
    fields: [source("video_url", "Video", "video/*")],
    options: [
      choice("image_format", "Format", ["jpg", "png", "webp"]),
      number("quality", "Quality", 1, 100, 95, "For jpg and webp."), WEBHOOK,
    ],
    results: [{ name: "image_url", label: "Last frame", type: "image" }],
  },
  {
    kind: "video_stitch", title: "Stitch videos", path: "/api/v1/stitch",
    about: "2-10 videos into one. Equal clips are copied bit for bit; only what differs is encoded.",
    fields: [{ name: "video_urls", label: "Clips", item: "Clip", type: "list", accept: "video/*", least: 2, most: 10 }],
    options: [
      choice("strategy", "Strategy", ["auto", "copy", "reencode"], "copy refuses clips that differ."),
      RESOLUTION, number("output_settings.frame_rate", "Frames a second", 1, 120, "", "Each clip's own when empty."),
      QUALITY, WEBHOOK,
    ],
    results: [{ name: "video_result_url", label: "Stitched video", type: "video" }],
  },
  {
    kind: "audio_stitch", title: "Stitch audio", path: "/api/v1/audio-stitch",
    about: "Sounds and silences, joined to the sample.",
    fields: [{
      name: "audio_urls", label: "Sounds and silences", item: "Sound", type: "list", accept: "audio/*,video/*",
      least: 1, most: 100, silence: true,
    }],
    options: [
      choice("output_format", "Format", ["mp3", "m4a", "wav", "flac", "opus"]),
      { ...choice("sample_rate", "Sample rate (Hz)", ["", 22050, 44100, 48000, 96000]), numeric: true },
      { ...choice("channels", "Channels", ["", 1, 2]), numeric: true },
      number("bitrate", "Bits a second", 32000, 512000, "", "Chosen from the best source when empty."),
      number("normalize_lufs", "Loudness of each source (LUFS)", -40, -5, "", "As they are when empty."),
      { name: "declick", label: "Fade 3 ms where a join would click", type: "check", preset: true }, WEBHOOK,
    ],
    results: [{ name: "audio_result_url", label: "Stitched audio", type: "audio" }],
  },
  {
    kind: "music_track", title: "Music track", path: "/api/v1/music-track",
    about: "Music under a video, turned down while there is voice. The picture is copied.",
    fields: [source("video_url", "Video", "video/*"), source("music_url", "Music", "audio/*,video/*")],
    options: [
      number("duck_db", "Turn the music down by (dB)", 0, 40, 12), number("music_lufs", "Loudness of the music (LUFS)", -60, -5, -24),
      number("attack_seconds", "Attack (s)", 0.005, 5, 0.15), number("hold_seconds", "Hold (s)", 0, 10, 0.4),
      number("release_seconds", "Release (s)", 0.005, 10, 0.6), number("fade_in_seconds", "Fade in (s)", 0, 60, 0),
      number("fade_out_seconds", "Fade out (s)", 0, 60, 2), number("music_offset_seconds", "Begin in the music at (s)", 0, 3600, 0),
      number("original_volume_db", "Gain of the video's sound (dB)", -60, 20, 0), number("music_volume_db", "Gain of the music (dB)", -60, 20, 0),
      WEBHOOK,
    ],
    results: [{ name: "video_result_url", label: "Video with music", type: "video" }],
  },
  {
    kind: "movie_assembly", title: "Assemble a movie", path: "/api/v1/video/assemble-movie",
    about: "Scenes and one master audio into three files: the movie, its silent picture, its sound.",
    fields: [
      { name: "project_id", label: "Project", type: "text", required: true, start: "my-movie", hint: "Your own name for it." },
      { name: "scene_videos", label: "Scenes", item: "Scene", type: "list", accept: "video/*", least: 1, most: 20, scenes: true },
      source("master_audio.audio_url", "Master audio", "audio/*,video/*"),
    ],
    options: [
      choice("output_settings.audio_sync_mode", "Fit the sound to the picture", ["stretch_to_fit", "trim", "pad", "none"]),
      RESOLUTION, QUALITY, { name: "output_settings.include_audio", label: "Sound in the full video", type: "check", preset: true },
      number("master_audio.expected_duration", "Expected length of the master audio (s)", 0, 86400, ""), WEBHOOK,
    ],
    results: [
      { name: "full_video_url", label: "Full movie", type: "video" },
      { name: "video_only_url", label: "Picture only", type: "video" },
      { name: "audio_only_url", label: "Sound only", type: "audio" },
    ],
  },
  {
    kind: "media_length", title: "Length", path: "/api/v1/length",
    about: "How long a medium really plays, to the millisecond, and what it is made of.",
    fields: [source("media_url", "Audio or video", "audio/*,video/*")],
    options: [WEBHOOK],
    results: [],
  },
];

export const jobOf = (kind) => JOBS.find((job) => job.kind === kind) || JOBS[0];

/** What the job calls one of its inputs: `Clip`, `Scene`; undefined where it has no list of them. */
export const itemOf = (job) => job.fields.find((field) => field.item)?.item;

const REMEMBERED = "lastframe-request-";

/** Keeps a submitted request in this tab, for showing it beside its result. */
export const remember = (taskId, body) => sessionStorage.setItem(REMEMBERED + taskId, JSON.stringify(body));

/** The request of a task: as it was sent from this tab, else what the task still tells; null when that is not enough. */
export function requestOf(task) {
  const kept = sessionStorage.getItem(REMEMBERED + task.task_id);
  if (kept) return JSON.parse(kept);
  if (task.kind === "movie_assembly") return null;
  const names = jobOf(task.kind).fields.map((field) => field.name);
  return Object.fromEntries(names.map((name) => [name, task[name]]));
}

/** The request as programs that can be pasted. */
export const snippets = (path, body) => ({
  curl: [
    `curl -X POST ${location.origin}${path} \\`,
    '  -H "Authorization: Bearer $LAST_FRAME_API_KEY" \\',
    '  -H "Content-Type: application/json" \\',
    `  -d '${JSON.stringify(body, null, 2).replaceAll("'", "'\\''")}'`,
  ].join("\n"),
  Python: [
    "import os, requests", "",
    "reply = requests.post(", `    "${location.origin}${path}",`,
    '    headers={"Authorization": "Bearer " + os.environ["LAST_FRAME_API_KEY"]},',
    `    json=${python(body, "    ")},`, ")", "reply.raise_for_status()", 'print(reply.json()["task_id"])',
  ].join("\n"),
});

function python(value, indent) {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}    `;
  const lines = Array.isArray(value)
    ? value.map((item) => `${deeper}${python(item, deeper)},`)
    : Object.entries(value).map(([name, item]) => `${deeper}${JSON.stringify(name)}: ${python(item, deeper)},`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return lines.length ? `${open}\n${lines.join("\n")}\n${indent}${close}` : open + close;
}

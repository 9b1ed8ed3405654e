// Every sentence of the page, in one place.

export const strings = {
  title: "MySpinBot",
  hero: "Photos and a voice become a talking video",
  heroLead: "Everything happens on this machine. Nothing is sent anywhere.",
  who: "Who speaks?",
  newPerson: "Someone new",
  unnamed: "Unnamed",
  withVoice: "face and voice",
  faceOnly: "face only",
  photos: "Photos",
  photosHint: "Three to ten sharp photos of one person, alone in the picture, from different angles.",
  photosDrop: "Drop photos here, or choose them",
  voice: "Voice",
  voiceHint: "Ten seconds to a minute of clear speech, without music. Without it, a ready-made voice speaks.",
  voiceDrop: "Drop a recording here, or choose it",
  script: "Script",
  scriptHint: "What should they say? Leave it empty to train only.",
  scriptPlaceholder: "Hello! I was made from a few photos and a short recording …",
  scriptLength: (chars, most, seconds) =>
    chars ? `${chars.toLocaleString()} of ${most.toLocaleString()} characters · about ${duration(seconds)} of speech` : "",
  name: "Name",
  nameHint: "So that you find them again.",
  more: "More options",
  prompt: "Portrait",
  promptHint: "How the portrait should look, such as “smiling, in front of a bookshelf”.",
  quality: "Quality",
  qualities: { draft: "Draft", standard: "Standard", best: "Best" },
  consent: "This is me, or I have this person’s permission to use their face and voice.",
  makeVideo: "Make the video",
  trainOnly: "Train",
  uploading: (percent) => `Uploading … ${percent} %`,
  starting: "Starting …",
  remove: (name) => `Remove ${name}`,
  recent: "Recent jobs",
  jobs: "Jobs",
  noJobs: "No jobs yet. The first one is a minute away.",
  moreJobs: "Show older ones",
  back: "All jobs",
  jobTypes: { train: "Training", generate: "Video", pipeline: "Pipeline" },
  jobStatus: {
    queued: "Queued",
    running: "Running",
    completed: "Done",
    failed: "Failed",
    cancelled: "Cancelled",
  },
  stages: {
    prepare_dataset: ["Prepare", "Find the face, cut the photos, clean the recording"],
    train_lora: ["Learn the face", "Train a LoRA on the photos"],
    train_voice: ["Match the voice", "Fit a voice to the recording"],
    synthesize_speech: ["Speak", "Turn the script into sound"],
    generate_portrait: ["Paint the portrait", "Make a picture of the person"],
    render_video: ["Make it talk", "Move the lips to the sound"],
  },
  stageStatus: {
    pending: "Waits for its turn",
    scheduled: "In the queue",
    running: "Running",
    failing: "Failed, will be tried again",
    waiting: "Tried again soon",
    completed: "Done",
    failed: "Failed",
    skipped: "Skipped",
  },
  stopped: "Not done",
  reused: "Taken from an earlier job",
  attempt: (number) => `attempt ${number}`,
  left: (seconds) => `about ${duration(seconds)} left`,
  took: (seconds) => `took ${duration(seconds)}`,
  cancel: "Cancel",
  cancelling: "Cancelling …",
  cancelSure: "Stop this job? What is done so far is kept.",
  retry: "Try again",
  result: "Result",
  trained: "Trained",
  trainedHint: "This person can speak now.",
  useProfile: "Make a video with them",
  downloads: "Downloads",
  pictures: "Pictures",
  listen: "Listen",
  measures: "Measures",
  outputs: {
    video: "Video",
    lora: "LoRA (the face)",
    voice: "Voice profile",
    subtitles: "Subtitles",
    speech: "Speech",
    portrait: "Portrait",
    poster: "Poster",
    preview: "Voice preview",
    samples: "Sample",
    report: "Report",
    faces: "Face crop",
    timings: "Word timings",
    clip: "Cleaned recording",
  },
  noVideo: "Your browser cannot play this video; download it instead.",
  whatNow: "What to do",
  online: "",
  offline: "Reconnecting …",
  themeToDark: "Use dark colours",
  themeToLight: "Use light colours",
  checks: {
    tooLarge: (name, megabytes) => `${name} is larger than ${megabytes} MB.`,
    notPicture: (name) => `${name} is not a picture.`,
    notSound: (name) => `${name} is not a sound recording.`,
    tooMany: (most) => `At most ${most} photos.`,
    needPhotos: "Add at least one photo.",
    needConsent: "Please confirm the permission.",
    needScript: "Write what they should say.",
    scriptTooLong: (most) => `The script is longer than ${most.toLocaleString()} characters.`,
  },
  unreachable: "The gateway cannot be reached.",
  unreachableRemedy: "Is MySpinBot running? This page tries again by itself.",
};

export function duration(seconds) {
  if (seconds == null) return "";
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  if (whole < 5400) return `${Math.round(whole / 60)} min`;
  return `${(whole / 3600).toFixed(1)} h`;
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function ago(iso) {
  const seconds = (Date.now() - new Date(iso).getTime()) / 1000;
  const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
  if (seconds < 60) return relative.format(0, "second");
  if (seconds < 3600) return relative.format(-Math.round(seconds / 60), "minute");
  if (seconds < 86400) return relative.format(-Math.round(seconds / 3600), "hour");
  return relative.format(-Math.round(seconds / 86400), "day");
}

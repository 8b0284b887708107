/* Where pictures come from, beside the scene: files that are chosen or dropped, and the camera. */

import { WORDS } from "./words.js";

const CAMERA_LONGEST = 480; // pixels; what the network sees is smaller

class Sources {
  /** @type {MediaStream | null} */
  stream = null;
  video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });

  /**
   * @param {import("./easel.js").Easel} easel
   * @param {{ tell: (text: string) => void, onDetector: (file: File) => void, onCamera: (on: boolean) => void }} hooks
   */
  constructor(easel, { tell, onDetector, onCamera }) {
    this.easel = easel;
    this.tell = tell;
    this.onDetector = onDetector;
    this.onCamera = onCamera;
    this.followDrops();
  }

  followDrops() {
    const page = document.querySelector(".play");
    const over = (/** @type {boolean} */ on) => page?.classList.toggle("dropping", on);
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      over(true);
    });
    document.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) over(false);
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      over(false);
      const file = event.dataTransfer?.files[0];
      if (file) this.take(file);
    });
  }

  /**
   * A file of either kind.
   * @param {File} file
   */
  take(file) {
    if (file.name.endsWith(".onnx")) this.onDetector(file);
    else if (file.type.startsWith("image/")) this.takePhoto(file);
    else this.tell(WORDS.neither(file.name));
  }

  /** @param {File} file */
  async takePhoto(file) {
    this.stopCamera();
    try {
      const bitmap = await createImageBitmap(file);
      this.easel.setPhoto(bitmap, bitmap.width, bitmap.height);
      bitmap.close();
      this.tell("");
    } catch {
      this.tell(WORDS.noPicture(file.name));
    }
  }

  async startCamera() {
    try {
      const wanted = { video: { facingMode: "environment", width: 640, height: 480 } };
      this.stream = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
      this.tell(WORDS.noCamera(error instanceof Error ? error.message : String(error)));
      return;
    }
    this.video.srcObject = this.stream;
    await this.video.play();
    this.onCamera(true);
    this.follow();
  }

  /** Lay each frame of the camera on the easel. */
  follow() {
    if (!this.stream) return;
    const { videoWidth, videoHeight } = this.video;
    if (videoWidth) this.easel.setPhoto(this.video, videoWidth, videoHeight, CAMERA_LONGEST);
    this.video.requestVideoFrameCallback(() => this.follow());
  }

  stopCamera() {
    if (!this.stream) return;
    for (const track of this.stream.getTracks()) track.stop();
    this.stream = null;
    this.onCamera(false);
  }
}

export { Sources };

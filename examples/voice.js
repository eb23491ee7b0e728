/**
 * A voice room of Floe in a page: join, be heard, be seen, share a screen.
 *
 *     const voice = createVoice({ room: '0123456789ab', user: 'ann', onState: show });
 *     await voice.join();
 *     voice.mute();
 *
 * Everything to show is in `voice.state`, a plain object that is made anew by each change:
 *
 * - `status`: `idle`, `connecting`, `joined`, `reconnecting`, `left`
 * - `session`: what the server said of it, with its `features`; `null` while there is none
 * - `participants`: who takes part, as the server says
 * - `tracks`: what is received: `{mid, source, userId, stream}`; `userId` is `null` while it shows nothing
 * - `recording`: the recording that is made of the room, or `null`
 * - `me`: `{userId, audio, video, screen, muted, media, camera, display, quality}`: what this page sends,
 *   whether a moderator keeps it from being heard, how its media are connected, its own pictures, and
 *   how well media come
 * - `error`: `{code, message}` of what last failed, or `null`
 *
 * The page offers and the server answers, never the other way round. An offer has what the page sends and
 * slots to receive by; what a slot carries changes without another offer, and `tracks` says what it is.
 */
export function createVoice(options) {
  return new Voice(options);
}

/** Milliseconds between two tries: from 1 s to 30 s, anywhere below that at random. */
const BACKOFF = { first: 1000, most: 30000 };
/** Milliseconds: between two pings, and without a word of the server until it is looked for anew. */
const PING = { every: 5000, patience: 15000 };
/** Milliseconds that an answer may take. */
const ANSWER_MS = 20000;
/** Milliseconds until media that do not come are seen to: at first, once they came, and between tries. */
const MEDIA = { first: 15000, lost: 3000, again: 8000 };
/** Milliseconds for which a login at a TURN server must still hold to be of use. */
const ICE_SPARE_MS = 60000;
/** ICE restarts that are tried before everything is made anew. */
const RESTARTS_MAX = 3;
/** Milliseconds between two looks at the statistics. */
const STATS_MS = 2000;
/** What a camera sends at once, the smallest first. */
const LAYERS = [
  { rid: 'low', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: 'medium', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: 'high', maxBitrate: 1_700_000 },
];
/** What a screen is sent as: sharp rather than smooth. */
const SCREEN = [{ maxBitrate: 2_500_000 }];
/** What may be sent, and what the server calls that it is. */
const ENABLED = { audio: 'audioEnabled', video: 'videoEnabled', screen: 'screenEnabled' };
const KINDS = Object.keys(ENABLED);
/** How a camera is asked for, unless the page says otherwise. */
const CAMERA = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 24, max: 30 } };

/** Why something was not done. */
export class VoiceError extends Error {
  constructor(code, message, retry = 'never') {
    super(message);
    Object.assign(this, { name: 'VoiceError', code, retry });
  }
}

class Voice {
  /** What the user wants, whatever can be had just now. */
  #wants = { in: false, audio: true, video: false, screen: false };
  #chosen = { microphone: undefined, camera: undefined, speaker: undefined };
  #options;
  #line;
  #peer;
  /** Servers that help to find a way, and until when they let this page in. */
  #ice = { servers: [], until: Infinity };
  /** The microphone's, the camera's and the screen's track. */
  #local = { audio: undefined, video: undefined, screen: undefined };
  #participants = new Map();
  /** What the server said of the slots, by the names of their media. */
  #told = [];
  /** Whether the server has said yes to this connection's join. */
  #seated = false;
  /** The seat that the peer connection is for. */
  #seat;
  #joining;
  /** What settles the promise of the join that is under way. */
  #settle = { done: () => {}, refused: () => {} };

  constructor({ url = location.origin, room, user, token, onState, processing = true, camera = CAMERA }) {
    this.#options = { url, room, user, token, onState, processing, camera };
    this.state = {
      status: 'idle',
      session: null,
      participants: [],
      tracks: [],
      recording: null,
      me: { userId: user ?? null, audio: false, video: false, screen: false, muted: false, media: 'none', camera: null, display: null, quality: null },
      error: null,
    };
  }

  // ---- What a page calls

  /** Takes a seat. Without a microphone, or with `audio: false`, nothing is sent to begin with. */
  async join({ audio = true, video = false } = {}) {
    if (this.#wants.in) return this.#joining;
    this.#wants = { in: true, audio, video: false, screen: false };
    this.#show({ status: 'connecting', error: null });
    if (audio) await this.#capture('audio').catch((error) => this.#fail(error));
    if (!this.#wants.in) return;
    this.#joining = new Promise((done, refused) => (this.#settle = { done, refused }));
    this.#line = new Line(this.#addresses(), this.#options.token, {
      open: () => this.#takeSeat(),
      take: (frame) => this.#take(frame),
      lost: () => this.#lost(),
      end: (error) => this.#end(error),
    });
    addEventListener('online', this.#networkChanged);
    navigator.connection?.addEventListener?.('change', this.#networkChanged);
    await this.#joining;
    if (video && this.#wants.in) await this.setCamera(true);
  }

  /** Gives the seat back. */
  leave() {
    this.#line?.say({ type: 'leave' });
    this.#end();
  }

  /** Turns the microphone off: no packet leaves. */
  async mute() {
    await this.#stop('audio');
  }

  /** Turns the microphone on. */
  async unmute() {
    await this.#begin('audio');
  }

  /** Turns the camera on or off. */
  async setCamera(on) {
    if (on) await this.#begin('video');
    else await this.#stop('video');
  }

  /** Shares a screen, which the browser lets the user choose; must be called by a click. */
  async shareScreen() {
    await this.#begin('screen');
  }

  /** Shares the screen no more. */
  async stopScreen() {
    await this.#stop('screen');
  }

  /** Returns what there is to choose from: `{microphones, cameras, speakers}`, each `{id, label}`. */
  async devices() {
    const all = await navigator.mediaDevices.enumerateDevices();
    const of = (wanted) =>
      all.filter(({ kind }) => kind === wanted).map(({ deviceId, label }, at) => ({ id: deviceId, label: label || `${at + 1}` }));
    return { microphones: of('audioinput'), cameras: of('videoinput'), speakers: of('audiooutput') };
  }

  async chooseMicrophone(id) {
    this.#chosen.microphone = id;
    await this.#exchange('audio');
  }

  async chooseCamera(id) {
    this.#chosen.camera = id;
    await this.#exchange('video');
  }

  /** Has voices come out of another speaker, where the browser can. */
  async chooseSpeaker(id) {
    this.#chosen.speaker = id;
    await this.#peer?.speakBy(id);
  }

  /** Says whether the microphone's sound is rid of echo and noise; music is better without. */
  async setProcessing(on) {
    this.#options.processing = on;
    await this.#exchange('audio');
  }

  /**
   * Says what a slot shows: `userId` and `source` (`camera`, `screen`), or nobody in particular, and the
   * `quality` that it is to have at most (`low`, `medium`, `high`).
   */
  watch({ mid, userId, source, quality }) {
    return this.#ask({ type: 'watch', mid, userId, source, quality });
  }

  /** Keeps another from being heard, or no more; for moderators. */
  muteOther(userId, muted = true) {
    return this.#ask({ type: 'mute', userId, muted });
  }

  /** Takes another's seat; for moderators. */
  kick(userId) {
    return this.#ask({ type: 'kick', userId });
  }

  /** Begins or ends a recording; for those who may. */
  record(on) {
    return this.#ask({ type: 'record', recording: on });
  }

  /** Returns the browser's own statistics of the media, or `undefined` while there are none. */
  stats() {
    return this.#peer?.pc.getStats();
  }

  // ---- The seat

  /** Returns where the room's socket is, and where it is described. */
  #addresses() {
    const { url, room, user } = this.#options;
    const at = (path) => new URL(`${url.replace(/\/$/, '')}${path}/${room}`, location.href);
    const [socket, described] = [at('/ws/voice'), at('/v1/voice')];
    socket.protocol = socket.protocol.replace('http', 'ws');
    socket.searchParams.set('changes', 'true');
    if (user !== undefined) {
      socket.searchParams.set('user', user);
      described.searchParams.set('user', user);
    }
    return { socket, described };
  }

  async #takeSeat() {
    this.#seated = false;
    const { audio, video, screen } = this.#wants;
    try {
      await this.#line.ask({
        type: 'join',
        audioEnabled: audio && this.#local.audio !== undefined,
        videoEnabled: video,
        screenEnabled: screen,
      });
      this.#seated = true;
      this.#line.settle();
      this.#goOn();
    } catch (error) {
      if (error.code === 'DISCONNECTED') return;
      if (error.code === 'FORBIDDEN' && (audio || video || screen)) {
        // Whoever may not speak may still listen.
        for (const kind of KINDS) this.#wants[kind] = false;
        for (const kind of ['video', 'screen']) this.#release(kind);
        return this.#takeSeat();
      }
      if (error.retry === 'never' || this.state.status === 'connecting') this.#end(error);
      else this.#line.drop();
    }
  }

  /** Connects the media, once all is known that this takes; with the connection that there is, if the seat is the same. */
  #goOn() {
    const { session, me } = this.state;
    const mine = this.#participants.get(me.userId);
    if (!this.#seated || !session || !mine) return;
    const isFirst = this.state.status !== 'joined';
    if (!isFirst && this.#peer) return this.#peer.fit(this.#pictures());
    const seat = `${session.sessionId} ${mine.joinedAt}`;
    if (seat !== this.#seat) this.#disconnect();
    this.#seat = seat;
    this.#show({ status: 'joined', error: null });
    this.#settle.done();
    if (!session.features.audio) return;
    if (this.#peer) this.#peer.negotiate();
    else this.#connect();
  }

  #connect() {
    const { features } = this.state.session;
    this.#peer = new Peer(features, this.#ice.servers, {
      mayOffer: () => this.#seated,
      refresh: async () => {
        if (this.#ice.until < Date.now() + ICE_SPARE_MS) await this.#line.ask({ type: 'ice_servers' });
      },
      offer: (offer) => this.#line.offer(offer),
      trickle: (candidate) => this.#line.say({ type: 'candidate', candidate }),
      changed: (media) => this.#showMe({ media }),
      agreed: () => this.#showTracks(),
      measured: (quality) => this.#showMe({ quality }),
      failed: (error) => this.#fail(error),
      hopeless: () => {
        this.#disconnect();
        if (this.state.status === 'joined') this.#connect();
      },
    });
    this.#peer.speakBy(this.#chosen.speaker);
    for (const kind of KINDS) this.#send(kind);
    this.#peer.fit(this.#pictures());
    this.#peer.negotiate();
  }

  #disconnect() {
    this.#peer?.close();
    this.#peer = undefined;
    this.#told = [];
    this.#show({ tracks: [], me: { ...this.state.me, media: 'none', quality: null } });
  }

  /** How many pictures others send. */
  #pictures() {
    const others = [...this.#participants.values()].filter(({ userId }) => userId !== this.state.me.userId);
    return others.reduce((sum, { videoEnabled, screenEnabled }) => sum + Number(videoEnabled) + Number(screenEnabled ?? false), 0);
  }

  #lost() {
    this.#seated = false;
    if (this.#wants.in && this.state.status !== 'connecting') this.#show({ status: 'reconnecting' });
  }

  #end(error) {
    if (!this.#wants.in) return;
    this.#wants = { ...this.#wants, in: false, video: false, screen: false };
    removeEventListener('online', this.#networkChanged);
    navigator.connection?.removeEventListener?.('change', this.#networkChanged);
    this.#disconnect();
    this.#line?.close();
    this.#seated = false;
    this.#seat = undefined;
    for (const kind of KINDS) this.#release(kind);
    this.#participants.clear();
    this.#show({ status: 'left', session: null, participants: [], recording: null });
    if (error) {
      this.#fail(error);
      this.#settle.refused(error);
    }
    this.#settle.done();
  }

  #networkChanged = () => {
    this.#line?.hurry();
    this.#peer?.recover();
  };

  #take(frame) {
    switch (frame.type) {
      case 'welcome':
        return this.#showMe({ userId: frame.userId ?? null });
      case 'session': {
        const { type, ...session } = frame;
        this.#show({ session, recording: session.recording ?? null });
        return this.#goOn();
      }
      case 'session_ended':
        return this.#show({ session: null, recording: null });
      case 'participants':
        this.#participants = new Map(frame.participants.map((one) => [one.userId, one]));
        return this.#showParticipants();
      case 'participants_changed':
        for (const user of frame.left) this.#participants.delete(user);
        for (const one of frame.set) this.#participants.set(one.userId, one);
        return this.#showParticipants();
      case 'ice_servers':
        this.#ice = { servers: frame.iceServers, until: frame.expiresAt ? Date.parse(frame.expiresAt) : Infinity };
        return this.#peer?.setIceServers(frame.iceServers);
      case 'tracks':
        this.#told = frame.tracks;
        return this.#showTracks();
      case 'recording':
        return this.#show({ recording: frame.recordingId ? frame : null });
      case 'left':
        return this.#end(new VoiceError(frame.reason.toUpperCase(), `the seat is gone: ${frame.reason}`));
      case 'error':
        return this.#fail(frame);
    }
  }

  #showParticipants() {
    this.#show({ participants: [...this.#participants.values()] });
    const mine = this.#participants.get(this.state.me.userId);
    if (mine && mine.muted !== this.state.me.muted) this.#showMe({ muted: mine.muted });
    for (const kind of mine && this.#seated ? KINDS : []) {
      // A moderator has muted the user, or they may not send any more. Whether they do again is theirs to say.
      if (!this.#wants[kind] || mine[ENABLED[kind]]) continue;
      this.#wants[kind] = false;
      if (kind !== 'audio') this.#release(kind);
      this.#send(kind);
    }
    this.#goOn();
  }

  #showTracks() {
    const tracks = this.#told.map((track) => ({ ...track, stream: this.#peer?.streamOf(track.mid) ?? null }));
    this.#show({ tracks });
  }

  // ---- What is sent

  /** Sends something, once the server says that it may be. */
  async #begin(kind) {
    await this.#capture(kind);
    try {
      await this.#tell(kind, true);
    } catch (error) {
      if (kind !== 'audio') this.#release(kind);
      throw error;
    }
    this.#wants[kind] = true;
    await this.#send(kind);
  }

  /** Sends something no more. The microphone stays open, to be back at once. */
  async #stop(kind) {
    this.#wants[kind] = false;
    if (kind !== 'audio') this.#release(kind);
    await this.#send(kind);
    await this.#tell(kind, false);
  }

  /** Gets the track of a microphone, a camera or a screen, unless there is one. */
  async #capture(kind) {
    if (this.#local[kind]?.readyState === 'live') return;
    this.#local[kind] = undefined;
    const { microphone, camera } = this.#chosen;
    const by = (deviceId) => (deviceId ? { deviceId: { exact: deviceId } } : {});
    const { processing } = this.#options;
    const audio = { ...by(microphone), echoCancellation: processing, noiseSuppression: processing, autoGainControl: processing };
    const { mediaDevices } = navigator;
    if (!mediaDevices) throw new VoiceError('INSECURE', 'browsers give microphones to pages by HTTPS or from localhost alone');
    const stream = await (kind === 'audio'
      ? mediaDevices.getUserMedia({ audio })
      : kind === 'video'
        ? mediaDevices.getUserMedia({ video: { ...this.#options.camera, ...by(camera) } })
        : mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } } }));
    const [track] = stream.getTracks();
    track.contentHint = { audio: processing ? 'speech' : 'music', video: 'motion', screen: 'detail' }[kind];
    track.onended = () => this.#deviceGone(kind, track);
    this.#local[kind] = track;
    if (kind !== 'audio') this.#showMe({ [kind === 'video' ? 'camera' : 'display']: stream });
  }

  #release(kind) {
    const track = this.#local[kind];
    if (!track) return;
    this.#local[kind] = undefined;
    track.onended = null;
    track.stop();
    if (kind !== 'audio') this.#showMe({ [kind === 'video' ? 'camera' : 'display']: null });
  }

  /** Sends what there is of a kind, if it is wanted, and says so in the state. */
  async #send(kind) {
    const track = this.#wants[kind] ? this.#local[kind] : undefined;
    this.#showMe({ [kind]: track !== undefined });
    await this.#peer?.send(kind, track);
  }

  /** Takes another device, or the same otherwise. */
  async #exchange(kind) {
    if (!this.#local[kind]) return;
    this.#release(kind);
    await this.#capture(kind);
    await this.#send(kind);
  }

  #deviceGone(kind, track) {
    if (this.#local[kind] !== track) return;
    // The user ended the sharing in the browser, or pulled a plug.
    this.#release(kind);
    this.#stop(kind).catch((error) => this.#fail(error));
  }

  /** Says what is sent by now; while there is no connection, the next join does. */
  async #tell(kind, on) {
    if (this.#seated) await this.#ask({ type: 'mute', [ENABLED[kind]]: on });
  }

  async #ask(frame) {
    try {
      if (!this.#line) throw new VoiceError('DISCONNECTED', 'nobody has joined', 'reconnect');
      await this.#line.ask(frame);
      if (this.state.error) this.#show({ error: null });
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  #fail({ code, name, message }) {
    this.#show({ error: { code: code && typeof code === 'string' ? code : name, message } });
  }

  #showMe(changes) {
    this.#show({ me: { ...this.state.me, ...changes } });
  }

  #show(changes) {
    this.state = { ...this.state, ...changes };
    this.#options.onState?.(this.state);
  }
}

/** The room's WebSocket. It comes back by itself, after waits that grow. */
class Line {
  #tries = 0;
  #asked = new Map();
  #count = 0;
  #offer;
  #closed = false;

  constructor(addresses, token, on) {
    Object.assign(this, { addresses, token, on });
    this.#open();
  }

  /** Sends a frame; says whether it could. */
  say(frame) {
    if (this.socket?.readyState !== 1) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** Sends a frame, and resolves once it is done. */
  ask(frame) {
    const id = `${(this.#count += 1)}`;
    return new Promise((done, refused) => {
      if (!this.say({ ...frame, id })) return refused(new VoiceError('DISCONNECTED', 'there is no connection', 'reconnect'));
      this.#asked.set(id, { done, refused });
    });
  }

  /** Sends an offer, and resolves with the answer. */
  offer(offer) {
    this.#offer?.refused(new VoiceError('DISCONNECTED', 'there is another offer', 'reconnect'));
    return new Promise((done, refused) => {
      const late = setTimeout(() => this.drop(), ANSWER_MS);
      const settle = (how) => (value) => {
        clearTimeout(late);
        this.#offer = undefined;
        how(value);
      };
      this.#offer = { done: settle(done), refused: settle(refused) };
      this.ask({ type: 'offer', ...offer }).catch(this.#offer.refused);
    });
  }

  /** What was to be had by this connection is: the next wait is a short one. */
  settle() {
    this.#tries = 0;
  }

  /** Tries again at once, and finds out soon whether the server is still there. */
  hurry() {
    if (this.#closed) return;
    if (this.socket?.readyState === 1) {
      this.say({ type: 'ping' });
      this.deadline = Math.min(this.deadline, Date.now() + PING.every);
    } else if (this.waiting) {
      clearTimeout(this.waiting);
      this.#open();
    }
  }

  /** Gives the connection up for another. */
  drop() {
    const { socket } = this;
    if (!socket) return;
    socket.onclose = socket.onmessage = null;
    socket.close();
    this.#lost();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.waiting);
    clearInterval(this.pinging);
    if (this.socket) this.socket.onclose = this.socket.onmessage = null;
    this.socket?.close();
    this.#forget();
  }

  #open() {
    this.waiting = undefined;
    this.isOpened = false;
    const socket = new WebSocket(this.addresses.socket, this.token ? ['floe.token', this.token] : []);
    this.socket = socket;
    this.#alive();
    socket.onmessage = ({ data }) => this.#heard(JSON.parse(data));
    socket.onclose = ({ code, reason }) => {
      // From 4500 on the server says that coming back changes nothing.
      if (code >= 4500) this.#stop(this.ending ?? new VoiceError(String(code), reason || 'the server ended the connection'));
      else this.#lost();
    };
    clearInterval(this.pinging);
    this.pinging = setInterval(() => {
      if (Date.now() > this.deadline) this.drop();
      else this.say({ type: 'ping' });
    }, PING.every);
  }

  #alive() {
    this.deadline = Date.now() + PING.patience;
  }

  #heard(frame) {
    this.#alive();
    const asked = frame.id === undefined ? undefined : this.#asked.get(frame.id);
    this.#asked.delete(frame.id);
    if (frame.type === 'ack') return asked?.done(frame);
    if (frame.type === 'answer') return this.#offer?.done(frame.sdp);
    if (frame.type === 'error') {
      const error = new VoiceError(frame.code, frame.message, frame.retry);
      this.ending = error;
      // Media take their time to refuse an offer, and say it without its id.
      const refused = asked?.refused ?? this.#offer?.refused;
      return refused ? refused(error) : this.on.take(frame);
    }
    this.on.take(frame);
    if (frame.type === 'welcome') {
      this.isOpened = true;
      this.on.open();
    }
  }

  #lost() {
    clearInterval(this.pinging);
    this.socket = undefined;
    this.#forget();
    if (this.#closed) return;
    this.on.lost();
    if (!this.isOpened) this.#askWhy();
    const most = Math.min(BACKOFF.most, BACKOFF.first * 2 ** this.#tries);
    this.#tries += 1;
    this.waiting = setTimeout(() => this.#open(), Math.random() * most);
  }

  /** Finds out whether the server refuses the user, which a WebSocket does not tell. */
  async #askWhy() {
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    const answer = await fetch(this.addresses.described, { headers }).catch(() => undefined);
    if (![401, 403].includes(answer?.status) || this.#closed) return;
    const { code, message } = await answer.json();
    this.#stop(new VoiceError(code, message));
  }

  #stop(error) {
    this.close();
    this.on.end(error);
  }

  #forget() {
    const gone = new VoiceError('DISCONNECTED', 'the connection is lost', 'reconnect');
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const { refused } of asked) refused(gone);
    this.#offer?.refused(gone);
  }
}

/** The peer connection with the server: what the page sends, and slots for what it receives. */
class Peer {
  /** By what each kind is sent, once it was. */
  #senders = {};
  #audio = [];
  #video = [];
  #speaker;
  #isBusy = false;
  #isDue = false;
  #restarts = false;
  #recoveries = 0;
  #closed = false;
  #before;

  constructor(features, iceServers, on) {
    this.on = on;
    this.videoSlots = features.videoSlots ?? 0;
    const pc = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
    this.pc = pc;
    this.#senders.audio = this.#add('audio', { direction: 'sendonly' });
    for (let slot = 0; slot < features.audioSlots; slot += 1) {
      this.#audio.push(this.#play(this.#add('audio', { direction: 'recvonly' })));
    }
    pc.onicecandidate = ({ candidate }) => on.trickle(candidate?.toJSON() ?? null);
    pc.onconnectionstatechange = () => this.#stateChanged();
    this.#watchdog(MEDIA.first);
    this.measuring = setInterval(() => this.#measure(), STATS_MS);
  }

  /** Sends a track as one of the kinds, or nothing more of it. The first of a kind takes an offer. */
  async send(kind, track) {
    if (this.#closed) return;
    const transceiver = this.#senders[kind];
    if (transceiver) return transceiver.sender.replaceTrack(track ?? null);
    if (!track) return;
    this.#senders[kind] = this.#add(track, {
      direction: 'sendonly',
      sendEncodings: kind === 'video' ? LAYERS : SCREEN,
    });
    this.negotiate();
  }

  /** Has slots for so many pictures, as far as the server has. */
  fit(pictures) {
    const wanted = Math.min(this.videoSlots, pictures === 0 ? 0 : 2 ** Math.ceil(Math.log2(pictures)));
    if (this.#video.length >= wanted) return;
    while (this.#video.length < wanted) {
      const transceiver = this.#add('video', { direction: 'recvonly' });
      this.#video.push({ transceiver, stream: new MediaStream([transceiver.receiver.track]) });
    }
    this.negotiate();
  }

  streamOf(mid) {
    return [...this.#audio, ...this.#video].find(({ transceiver }) => transceiver.mid === mid)?.stream;
  }

  async speakBy(speaker) {
    this.#speaker = speaker;
    if (speaker === undefined || !('setSinkId' in HTMLMediaElement.prototype)) return;
    await Promise.all(this.#audio.map(({ element }) => element.setSinkId(speaker)));
  }

  setIceServers(iceServers) {
    this.pc.setConfiguration({ ...this.pc.getConfiguration(), iceServers });
  }

  /** Has the server agree to what there is to send and to receive by now. */
  async negotiate() {
    this.#isDue = true;
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      while (this.#isDue && !this.#closed) {
        // Whatever else is wanted at this moment goes with it.
        await undefined;
        this.#isDue = false;
        await this.#agree();
      }
    } catch (error) {
      if (this.#closed) return;
      // Without a connection there is nobody to agree with; whoever comes back negotiates.
      if (error.code === 'DISCONNECTED') return;
      this.on.failed(error);
      if (this.pc.connectionState !== 'connected') this.#watchdog(MEDIA.again);
    } finally {
      this.#isBusy = false;
    }
  }

  async #agree() {
    const { pc } = this;
    const iceRestart = this.#restarts;
    this.#restarts = false;
    try {
      if (iceRestart) await this.on.refresh();
      await pc.setLocalDescription(await pc.createOffer({ iceRestart }));
      const screen = this.#senders.screen?.mid;
      const sources = screen ? { [screen]: 'screen' } : undefined;
      const sdp = await this.on.offer({ sdp: pc.localDescription.sdp, sources });
      if (this.#closed) return;
      await pc.setRemoteDescription({ type: 'answer', sdp });
    } catch (error) {
      this.#restarts ||= iceRestart;
      throw error;
    }
    this.on.agreed();
  }

  /** Finds another way to the server; when none is found, all is made anew. */
  recover() {
    if (this.#closed) return;
    this.#restarts = true;
    this.#watchdog(MEDIA.again);
    // Whoever takes the seat again negotiates.
    if (!this.on.mayOffer()) return;
    this.#recoveries += 1;
    if (this.#recoveries > RESTARTS_MAX) this.on.hopeless();
    else this.negotiate();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.watching);
    clearInterval(this.measuring);
    this.pc.close();
    for (const { element } of this.#audio) element.srcObject = null;
  }

  /** Adds a medium for the codecs that servers forward, which keeps offers small. */
  #add(what, init) {
    const transceiver = this.pc.addTransceiver(what, init);
    const { kind } = transceiver.receiver.track;
    const codecs = RTCRtpReceiver.getCapabilities(kind)?.codecs.filter(isForwarded);
    if (codecs?.length) transceiver.setCodecPreferences?.(codecs);
    return transceiver;
  }

  #stateChanged() {
    const state = this.pc.connectionState;
    this.on.changed(state);
    if (state === 'connected') {
      clearTimeout(this.watching);
      this.watching = undefined;
      this.#recoveries = 0;
    } else if (state === 'failed') {
      this.#watchdog(0);
    } else if (state === 'disconnected') {
      this.#watchdog(MEDIA.lost);
    }
  }

  /** Sees to media that are still not there in a while. */
  #watchdog(ms) {
    clearTimeout(this.watching);
    this.watching = setTimeout(() => this.recover(), ms);
  }

  /** Has the voices of a slot heard. */
  #play(transceiver) {
    const stream = new MediaStream([transceiver.receiver.track]);
    const element = Object.assign(new Audio(), { autoplay: true, srcObject: stream });
    // Before the user has done anything, some browsers play nothing.
    const again = () => element.play().catch(() => {});
    element.play().catch(() => document.addEventListener('pointerdown', again, { once: true }));
    return { transceiver, stream, element };
  }

  async #measure() {
    const now = totals(await this.pc.getStats());
    const before = this.#before;
    this.#before = now;
    if (this.#closed || !before) return;
    this.on.measured(qualityOf(before, now));
  }
}

/** Whether servers forward what is written by a codec: Opus, VP8, and H.264 of the kind that all browsers read. */
function isForwarded({ mimeType, sdpFmtpLine = '' }) {
  if (mimeType === 'video/H264') return /packetization-mode=1/.test(sdpFmtpLine) && /profile-level-id=42e01f/i.test(sdpFmtpLine);
  return ['audio/opus', 'video/VP8', 'video/rtx'].includes(mimeType);
}

/** Sums up what the statistics of a peer connection say. */
function totals(report) {
  const sum = { at: performance.now(), received: 0, lost: 0, bytesIn: 0, bytesOut: 0, samples: 0, concealed: 0, jitterMs: 0, lossOut: 0, roundTripMs: null, by: null };
  const all = new Map([...report].map(([id, one]) => [id, one]));
  for (const one of all.values()) {
    if (one.type === 'inbound-rtp' && one.packetsReceived > 0) {
      sum.received += one.packetsReceived;
      sum.lost += Math.max(0, one.packetsLost ?? 0);
      sum.bytesIn += one.bytesReceived ?? 0;
      sum.samples += one.totalSamplesReceived ?? 0;
      sum.concealed += (one.concealedSamples ?? 0) - (one.silentConcealedSamples ?? 0);
      sum.jitterMs = Math.max(sum.jitterMs, (one.jitter ?? 0) * 1000);
    } else if (one.type === 'outbound-rtp') {
      sum.bytesOut += one.bytesSent ?? 0;
    } else if (one.type === 'remote-inbound-rtp') {
      sum.lossOut = Math.max(sum.lossOut, one.fractionLost ?? 0);
    } else if (one.type === 'transport') {
      const pair = all.get(one.selectedCandidatePairId);
      const local = pair && all.get(pair.localCandidateId);
      if (pair?.currentRoundTripTime !== undefined) sum.roundTripMs = pair.currentRoundTripTime * 1000;
      if (local) sum.by = local.candidateType === 'relay' ? `relay (${local.relayProtocol})` : local.protocol;
    }
  }
  return sum;
}

/** Says how well media came and went between two looks. */
function qualityOf(before, now) {
  const seconds = (now.at - before.at) / 1000;
  const [received, lost] = [now.received - before.received, Math.max(0, now.lost - before.lost)];
  const samples = now.samples - before.samples;
  const share = (part, whole) => (whole > 0 ? Math.max(0, part) / whole : 0);
  const lossIn = share(lost, lost + received);
  const worst = Math.max(lossIn, now.lossOut);
  const round = now.roundTripMs ?? 0;
  const word = worst > 0.1 || round > 600 ? 'poor' : worst > 0.03 || round > 250 ? 'fair' : 'good';
  return {
    word,
    lossIn,
    lossOut: now.lossOut,
    concealed: share(now.concealed - before.concealed, samples),
    jitterMs: Math.round(now.jitterMs),
    roundTripMs: now.roundTripMs === null ? null : Math.round(now.roundTripMs),
    bitsIn: Math.round(((now.bytesIn - before.bytesIn) * 8) / seconds),
    bitsOut: Math.round(((now.bytesOut - before.bytesOut) * 8) / seconds),
    by: now.by,
  };
}

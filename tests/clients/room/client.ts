// A client of the room "acme/board", made by Floe from its tables. Do not edit; download it anew.

/** The room that this client was made for. */
export const ROOM = "acme/board"

/** A row of `notes`. */
export interface NotesRow {
  id: number
  text: string
  done: 0 | 1
  weight: number | null
  photo: Bytes | null
  tags: string | null
  extra: Value | null
}

/** What is inserted into `notes`. */
export interface NotesInsert {
  id?: number
  text: string
  done?: boolean | 0 | 1
  weight?: number | null
  photo?: Bytes | null
  tags?: string | readonly Json[] | { readonly [name: string]: Json } | null
  extra?: Value | boolean | null
}

/** What can be changed of a row of `notes`. */
export type NotesUpdate = Partial<NotesInsert>

/** What names a row of `notes`. */
export type NotesKey = NotesRow["id"]

/** A row of `seats`. */
export interface SeatsRow {
  flight: string
  number: number
  taken_by: string | null
}

/** What is inserted into `seats`. */
export interface SeatsInsert {
  flight: string
  number: number
  taken_by?: string | null
}

/** What can be changed of a row of `seats`. */
export type SeatsUpdate = Partial<SeatsInsert>

/** What names a row of `seats`. */
export type SeatsKey = [SeatsRow["flight"], SeatsRow["number"]]

/** A row of `log_lines`. */
export interface LogLinesRow {
  line: string | null
}

/** What is inserted into `log_lines`. */
export interface LogLinesInsert {
  line?: string | null
}

/** What can be changed of a row of `log_lines`. */
export type LogLinesUpdate = Partial<LogLinesInsert>

/** What names a row of `log_lines`. */
export type LogLinesKey = number

/** A row of `logLines`. */
export interface LogLines_2Row {
  key: string
}

/** What is inserted into `logLines`. */
export interface LogLines_2Insert {
  key: string
}

/** What can be changed of a row of `logLines`. */
export type LogLines_2Update = Partial<LogLines_2Insert>

/** What names a row of `logLines`. */
export type LogLines_2Key = LogLines_2Row["key"]

/** The tables of the room. */
export interface Tables {
  notes: { row: NotesRow; insert: NotesInsert; update: NotesUpdate; key: NotesKey }
  seats: { row: SeatsRow; insert: SeatsInsert; update: SeatsUpdate; key: SeatsKey }
  log_lines: { row: LogLinesRow; insert: LogLinesInsert; update: LogLinesUpdate; key: LogLinesKey }
  logLines: { row: LogLines_2Row; insert: LogLines_2Insert; update: LogLines_2Update; key: LogLines_2Key }
}

/** What can be asked of the room: payload and answer of each method. */
export interface Methods {
  /** Adds a task; the table comes with the first one. */
  createTask: { payload: { title: string }; answer: MutationAnswer<Task> }
  /** Sets the status of a task to `completed`. */
  completeTask: { payload: { id: number }; answer: MutationAnswer<Task> }
  /** Deletes a task. */
  deleteTask: { payload: { id: number }; answer: MutationAnswer<Task> }
  /** Returns all tasks by id. */
  listTasks: { payload: {}; answer: QueryAnswer }
  /** Makes a table. */
  createTable: { payload: { name: string; columns: readonly NewColumn[] }; answer: MutationAnswer<Mutated> }
  /** Changes a table, step by step, all or nothing. */
  alterTable: { payload: { name: string; steps: readonly Step[] }; answer: MutationAnswer<Mutated> }
  /** Drops a table with all its rows. */
  deleteTable: { payload: { name: string }; answer: MutationAnswer<Mutated> }
  /** Returns the tables and their columns. */
  getSchema: { payload: {}; answer: QueryAnswer }
  /** Inserts a row. */
  insertRow: { payload: { table: string; values: Values; onConflict?: "fail" | "update" }; answer: MutationAnswer<Mutated> }
  /** Changes values of the row with a key, or of all rows with certain values. */
  updateRow: { payload: { table: string; values: Values; key?: Key; where?: Values }; answer: MutationAnswer<Mutated> }
  /** Deletes the row with a key, or all rows with certain values. */
  deleteRow: { payload: { table: string; key?: Key; where?: Values }; answer: MutationAnswer<Mutated> }
  /** Inserts rows: all or none, or with `partial` those that can be. */
  batchInsert: { payload: { table: string; rows: readonly Values[]; partial?: boolean; onConflict?: "fail" | "update" }; answer: MutationAnswer<Mutated> }
  /** Does several mutations of rows, all or nothing, if the preconditions hold. */
  transaction: { payload: { mutations: readonly Mutation[]; preconditions?: readonly Precondition[] }; answer: MutationAnswer<{ results: Mutated[] }> }
  /** Runs one statement that only reads. */
  executeSQL: { payload: { sql: string; params?: SqlParams; readonly?: boolean; source?: "room" | "replica"; minSeq?: number }; answer: QueryAnswer }
  /** Tells of row changes of tables: from now on, or of all after a message. */
  subscribe: { payload: { table?: string; tables?: readonly string[]; after?: number; incarnation?: string }; answer: SuccessAnswer }
  /** Tells of row changes of tables no longer. */
  unsubscribe: { payload: { table?: string; tables?: readonly string[] }; answer: SuccessAnswer }
  /** Returns the rows of a query, then its new rows whenever they change. */
  subscribeQuery: { payload: { queryId: string; sql: string; params?: SqlParams }; answer: QueryAnswer }
  /** Ends what `subscribeQuery` began. */
  unsubscribeQuery: { payload: { queryId: string }; answer: SuccessAnswer }
  /** Tells of the memory under a prefix: what is there, then what changes. */
  subscribeMemory: { payload: { prefix: string }; answer: SuccessAnswer }
  /** Ends what `subscribeMemory` began. */
  unsubscribeMemory: { payload: { prefix: string }; answer: SuccessAnswer }
  /** Shows others where this user is, for 30 seconds. */
  setCursor: { payload: { userId?: string; position: Json }; answer: SuccessAnswer }
  /** Returns the cursors of all users. */
  getCursors: { payload: {}; answer: QueryAnswer }
  /** Shows others how this user is, for 60 seconds. */
  setPresence: { payload: { userId?: string; status: Json }; answer: SuccessAnswer }
  /** Returns the presence of all users. */
  getPresence: { payload: {}; answer: QueryAnswer }
  /** Sets a value that need not last. */
  setMemory: { payload: { key: string; value: Json; ttl?: number; ifVersion?: number }; answer: SuccessAnswer }
  /** Returns the value of a key, or a page of those under a prefix. */
  getMemory: { payload: { key?: string; prefix?: string; after?: string; limit?: number }; answer: QueryAnswer }
  /** Removes a value. */
  deleteMemory: { payload: { key: string; ifVersion?: number }; answer: SuccessAnswer }
  /** Buffers a value; the newest one is written at most one interval after the first that was not. */
  updateDebounced: { payload: { key: string; value: Json; interval?: number }; answer: SuccessAnswer }
  /** Adds to a buffered number; no increment is lost. */
  incrementDebounced: { payload: { key: string; by?: number; interval?: number }; answer: SuccessAnswer }
  /** Returns the newest value of a key, written or not. */
  getDebounced: { payload: { key: string }; answer: QueryAnswer }
  /** Writes the buffered value of a key, or all; answered once they are durable. */
  flushDebounced: { payload: { key?: string }; answer: SuccessAnswer }
  /** Returns reads and writes of the last 30 days, and what the room holds. */
  getUsage: { payload: {}; answer: QueryAnswer }
  /** Returns the last 50 mutations: who did what, and when. */
  getAuditLog: { payload: {}; answer: QueryAnswer }
  /** Returns how far the replica is, and how it fares. */
  getSyncStatus: { payload: {}; answer: QueryAnswer }
  /** Copies all rooms to the replica anew, telling of its progress. */
  forceSyncAll: { payload: {}; answer: SuccessAnswer }
}

/** Any JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/** Bytes, in base64. */
export interface Bytes {
  $base64: string
}

/** A value of a row. Whole numbers beyond 2^53 lose their last digits here. */
export type Value = null | number | string | Bytes

/** Values by column, as they are written; arrays and objects become text. */
export type Values = { readonly [column: string]: Json | Bytes }

/** What names a row: a value, an array of them, or values by column. */
export type Key = Value | readonly Value[] | { readonly [column: string]: Value }

/** Values of an SQL text: for `?`, or by name. */
export type SqlParams = readonly (Value | boolean)[] | { readonly [name: string]: Value | boolean }

/** A column of a new table. */
export interface NewColumn {
  name: string
  type: "INTEGER" | "REAL" | "TEXT" | "BLOB" | "BOOLEAN" | "JSON" | "ANY"
  primaryKey?: boolean
  notNull?: boolean
  unique?: boolean
  default?: Value | boolean
}

/** One step of a change of a table. */
export type Step =
  | { addColumn: NewColumn }
  | { dropColumn: string }
  | { renameColumn: { from: string; to: string } }
  | { renameTable: string }

/** One mutation of a transaction. */
export type Mutation = {
  [M in RowMethod]: { method: M; payload: Methods[M]["payload"] }
}[RowMethod]

type RowMethod =
  | "createTask"
  | "completeTask"
  | "deleteTask"
  | "insertRow"
  | "updateRow"
  | "deleteRow"
  | "batchInsert"

/** What must hold before a transaction: the row was made what it is by the message of this number. */
export interface Precondition {
  table: string
  key: Value | readonly Value[]
  version: number
}

/** A task of the built-in table. */
export interface Task {
  id: number
  title: string
  status: string
}

/** What a mutation did. */
export interface Mutated<Row = { [column: string]: Value }> {
  rows: number
  key?: string
  row?: Row
  failed?: { code: string; error: string; column?: string; row?: number }[]
}

/** The answer to a mutation that is durable; `seq` is the version of the row where it was one. */
export interface MutationAnswer<Data> {
  data: Data
  seq: number
}

/** The answer to a mutation of rows of a table. */
export type RowAnswer<T extends TableName> = MutationAnswer<Mutated<Tables[T]["row"]>>

/** The answer to a question. */
export interface QueryAnswer<Data = unknown> {
  data: Data
  columns?: { name: string; type: string }[]
  truncated?: boolean
  seq?: number
  /** Where the rows of a query are from; `seq` says how far that is. */
  source?: "room" | "replica"
}

/** The answer to anything else. */
export interface SuccessAnswer {
  data?: unknown
  seq?: number
  version?: number
}

/** The name of a table. */
export type TableName = keyof Tables & string

/** A change of a row. */
export interface RowEvent<Row> {
  event: "update"
  table: string
  action: "added" | "modified" | "deleted"
  row: Row
  key: string
  seq: number
  txid: string
  user?: string
}

/** A change of cursors, presence or the memory. */
export interface MemoryEvent {
  event: "memory_update"
  type: "cursors" | "presence" | "memory"
  snapshot?: true
  version: number
  data: { [name: string]: Json }[]
  removed: string[]
}

/** What a connection tells of besides answers. */
export interface RoomEvents {
  /** The connection stands, for the first time or again. */
  open: () => void
  /** The connection broke; it comes back by itself unless `final` is true. */
  down: (final: boolean, code: number) => void
  /** Changes of rows of these tables were missed and cannot be told any more: read again what is shown. */
  reset: (tables: string[]) => void
  /** The tables are others now; a client that was made for those before may not fit them. */
  schema: (schema: unknown, seq: number) => void
  /** Cursors, presence or memory changed. */
  memory: (event: MemoryEvent) => void
}

/** Why a call failed. Nothing has changed, unless `code` is `CONNECTION_LOST`, which cannot know. */
export class RoomError extends Error {
  readonly code: string
  readonly table: string | undefined
  readonly column: string | undefined
  readonly row: number | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: string, message: string, more: { [name: string]: unknown } = {}) {
    super(message)
    this.name = "RoomError"
    this.code = code
    this.table = more["table"] as string | undefined
    this.column = more["column"] as string | undefined
    this.row = more["row"] as number | undefined
    this.retryAfterMs = more["retryAfterMs"] as number | undefined
  }
}

/** Where the room is, and who asks. */
export interface RoomOptions {
  /** The server, such as `https://floe.example`; with `/n/<namespace>` at its end for one that is named. */
  url: string
  /** The room; the one that the client was made for by default. */
  room?: string
  /** An API key or signed token, or what fetches one. */
  token?: string | (() => Promise<string>)
  /** Calls that may wait for a connection; more are refused. 1000 by default. */
  queueMax?: number
  /** Longest time between two tries to connect, in milliseconds. 10 000 by default. */
  retryMsMax?: number
}

/** Calls one method over HTTP, without a connection. */
export async function callRoom<M extends keyof Methods>(
  options: RoomOptions,
  method: M,
  payload: Methods[M]["payload"],
): Promise<Methods[M]["answer"]> {
  const path = (options.room ?? ROOM).split("/").map(encodeURIComponent).join("/")
  const response = await fetch(`${base(options)}/v1/rooms/${path}/rpc`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(await authorization(options)) },
    body: JSON.stringify({ method, payload }),
  })
  const answer = (await response.json()) as Frame
  if (!response.ok) throw failure(answer)
  return answer as unknown as Methods[M]["answer"]
}

/** A connection to the room. It comes back by itself, and is told what it missed of what it followed. */
export class Room {
  readonly #options: RoomOptions
  #socket: WebSocket | undefined
  #isOpen = false
  #isClosed = false
  #tries = 0
  #retry: ReturnType<typeof setTimeout> | undefined
  #lastId = 0
  readonly #calls = new Map<string, Call>()
  /** What was seen of the room: every change of a followed table up to that message. */
  #seen: { after: number; incarnation: unknown } | undefined
  readonly #rows = new Map<string, Set<(event: RowEvent<unknown>) => void>>()
  readonly #queries = new Map<string, LiveQuery>()
  readonly #prefixes = new Map<string, number>()
  readonly #listeners: { [E in keyof RoomEvents]: Set<RoomEvents[E]> } = {
    open: new Set(),
    down: new Set(),
    reset: new Set(),
    schema: new Set(),
    memory: new Set(),
  }

  constructor(options: RoomOptions) {
    this.#options = options
    void this.#connect()
  }

  /** Calls a method. A call that was sent when the connection broke fails with `CONNECTION_LOST`. */
  call<M extends keyof Methods>(method: M, payload: Methods[M]["payload"]): Promise<Methods[M]["answer"]> {
    return this.#call(method, payload) as Promise<Methods[M]["answer"]>
  }

  /** Inserts a row. */
  insert<T extends TableName>(
    table: T,
    values: Tables[T]["insert"],
    onConflict: "fail" | "update" = "fail",
  ): Promise<RowAnswer<T>> {
    return this.#mutate("insertRow", { table, values, onConflict })
  }

  /** Inserts rows: all or none, or with `partial` those that can be. */
  insertAll<T extends TableName>(
    table: T,
    rows: readonly Tables[T]["insert"][],
    partial = false,
  ): Promise<RowAnswer<T>> {
    return this.#mutate("batchInsert", { table, rows, partial })
  }

  /** Changes values of the row with a key, which must be there. */
  update<T extends TableName>(
    table: T,
    key: Tables[T]["key"],
    values: Tables[T]["update"],
  ): Promise<RowAnswer<T>> {
    return this.#mutate("updateRow", { table, key, values })
  }

  /** Deletes the row with a key, which must be there. */
  delete<T extends TableName>(table: T, key: Tables[T]["key"]): Promise<RowAnswer<T>> {
    return this.#mutate("deleteRow", { table, key })
  }

  /** Runs one statement that only reads. */
  async query<Row = { [column: string]: Value }>(sql: string, params?: SqlParams): Promise<Row[]> {
    const answer = await this.#call("executeSQL", params === undefined ? { sql } : { sql, params })
    return answer["data"] as Row[]
  }

  /** Tells of the changes of a table from now on; returns what ends it. */
  follow<T extends TableName>(table: T, told: (event: RowEvent<Tables[T]["row"]>) => void): () => void {
    const each = told as (event: RowEvent<unknown>) => void
    const known = this.#rows.get(table)
    if (known) {
      known.add(each)
    } else {
      this.#rows.set(table, new Set([each]))
      this.#keep("subscribe", { tables: [table] })
    }
    return () => {
      const all = this.#rows.get(table)
      if (all?.delete(each) && all.size === 0) {
        this.#rows.delete(table)
        if (this.#rows.size === 0) this.#seen = undefined
        this.#keep("unsubscribe", { table })
      }
    }
  }

  /** Tells of the rows of a query, now and whenever they change; returns what ends it. */
  live<Row = { [column: string]: Value }>(
    sql: string,
    params: SqlParams,
    told: (rows: Row[], seq: number) => void,
    failed: (error: RoomError) => void = () => {},
  ): () => void {
    const queryId = this.#nextId()
    this.#queries.set(queryId, { sql, params, told: told as LiveQuery["told"], failed })
    this.#keep("subscribeQuery", { queryId, sql, params })
    return () => {
      if (this.#queries.delete(queryId)) this.#keep("unsubscribeQuery", { queryId })
    }
  }

  /** Has `memory` events for the keys under a prefix; returns what ends it. */
  watch(prefix: string): () => void {
    const count = this.#prefixes.get(prefix) ?? 0
    this.#prefixes.set(prefix, count + 1)
    if (count === 0) this.#keep("subscribeMemory", { prefix })
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      const left = (this.#prefixes.get(prefix) ?? 1) - 1
      if (left > 0) {
        this.#prefixes.set(prefix, left)
      } else {
        this.#prefixes.delete(prefix)
        this.#keep("unsubscribeMemory", { prefix })
      }
    }
  }

  /** Hears an event of the connection; returns what ends it. */
  on<E extends keyof RoomEvents>(event: E, listener: RoomEvents[E]): () => void {
    this.#listeners[event].add(listener)
    return () => void this.#listeners[event].delete(listener)
  }

  /** Ends the connection for good. Calls that were not answered fail. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#retry)
    this.#socket?.close()
    this.#isOpen = false
    this.#failAll(() => true)
  }

  #nextId(): string {
    this.#lastId += 1
    return `c${this.#lastId}`
  }

  #call(method: string, payload: object): Promise<Frame> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(lost())
      if (this.#calls.size >= (this.#options.queueMax ?? 1000)) {
        return reject(new RoomError("LIMIT_REACHED", "too many calls wait for an answer"))
      }
      const requestId = this.#nextId()
      const text = JSON.stringify({ action: "rpc", method, payload, requestId })
      const call: Call = { text, isSent: false, resolve, reject }
      this.#calls.set(requestId, call)
      this.#send(call)
    })
  }

  async #mutate<T extends TableName>(method: RowMethod, payload: object): Promise<RowAnswer<T>> {
    return (await this.#call(method, payload)) as unknown as RowAnswer<T>
  }

  #send(call: Call): void {
    if (!this.#isOpen || call.isSent) return
    call.isSent = true
    this.#socket?.send(call.text)
  }

  /** Asks for what is asked for again after each reconnect; without a connection that is enough. */
  #keep(method: string, payload: { [name: string]: unknown }): void {
    if (!this.#isOpen) return
    this.#call(method, payload).catch((error: RoomError) => {
      const query = this.#queries.get(payload["queryId"] as string)
      if (query && error.code !== "CONNECTION_LOST") {
        this.#queries.delete(payload["queryId"] as string)
        query.failed(error)
      }
    })
  }

  async #connect(): Promise<void> {
    let target: string
    try {
      const ticket = await drawTicket(this.#options)
      const room = encodeURIComponent(this.#options.room ?? ROOM)
      const url = base(this.#options).replace(/^http/, "ws")
      target = `${url}/connect?room_id=${room}${ticket}`
    } catch (error) {
      const isFinal = error instanceof RoomError && !isWorthATry(error)
      return this.#down(isFinal, 0)
    }
    if (this.#isClosed) return
    const socket = new WebSocket(target)
    this.#socket = socket
    socket.onopen = () => this.#opened()
    socket.onmessage = (message) => this.#heard(JSON.parse(String(message.data)) as Frame)
    socket.onclose = (closed) => {
      if (this.#socket === socket) this.#down(closed.code >= 4500 && closed.code < 5000, closed.code)
    }
  }

  #opened(): void {
    this.#isOpen = true
    this.#tries = 0
    // All at once, so that all are told in the order of the room, and one number says what was seen.
    if (this.#rows.size > 0) this.#keep("subscribe", { tables: [...this.#rows.keys()], ...this.#seen })
    for (const prefix of this.#prefixes.keys()) this.#keep("subscribeMemory", { prefix })
    for (const [queryId, { sql, params }] of this.#queries) {
      this.#keep("subscribeQuery", { queryId, sql, params })
    }
    for (const call of this.#calls.values()) this.#send(call)
    this.#tell("open")
  }

  #down(isFinal: boolean, code: number): void {
    this.#isOpen = false
    this.#socket = undefined
    this.#failAll((call) => isFinal || call.isSent)
    if (this.#isClosed) return
    this.#isClosed = isFinal
    this.#tell("down", isFinal, code)
    if (isFinal) return
    this.#tries += 1
    const most = Math.min(this.#options.retryMsMax ?? 10_000, 100 * 2 ** Math.min(this.#tries, 10))
    this.#retry = setTimeout(() => void this.#connect(), most * (0.5 + Math.random() / 2))
  }

  #failAll(fails: (call: Call) => boolean): void {
    for (const [id, call] of this.#calls) {
      if (fails(call)) {
        this.#calls.delete(id)
        call.reject(lost())
      }
    }
  }

  #heard(frame: Frame): void {
    const id = frame["requestId"]
    const call = typeof id === "string" ? this.#calls.get(id) : undefined
    const query = this.#queries.get(String(frame["queryId"]))
    const type = frame["type"]
    if (type === "query_subscribed" || type === "query_update") {
      query?.told(frame["data"] as unknown[], frame["seq"] as number)
    }
    if (type === "success" && frame["action"] === "subscribe") this.#saw(frame)
    if (call && typeof id === "string" && type !== "progress") {
      this.#calls.delete(id)
      if (isFailure(type)) call.reject(failure(frame))
      else call.resolve(frame)
    } else if (type === "query_error" && query) {
      this.#queries.delete(String(frame["queryId"]))
      query.failed(failure(frame))
    } else if (frame["event"] === "update") {
      const event = frame as unknown as RowEvent<unknown>
      if (this.#seen) this.#seen.after = event.seq
      for (const told of this.#rows.get(event.table) ?? []) told(event)
    } else if (frame["event"] === "memory_update") {
      this.#tell("memory", frame as unknown as MemoryEvent)
    } else if (type === "schema_update") {
      this.#tell("schema", frame["schema"], frame["seq"] as number)
    } else if (type === "reset") {
      this.#saw(frame)
      this.#tell("reset", frame["tables"] as string[])
    }
  }

  #saw(frame: Frame): void {
    const after = frame["seq"] as number
    this.#seen = { after, incarnation: frame["incarnation"] }
  }

  #tell<E extends keyof RoomEvents>(event: E, ...told: Parameters<RoomEvents[E]>): void {
    for (const listener of this.#listeners[event]) {
      ;(listener as (...told: Parameters<RoomEvents[E]>) => void)(...told)
    }
  }
}

type Frame = { [name: string]: unknown }

interface Call {
  text: string
  isSent: boolean
  resolve: (frame: Frame) => void
  reject: (error: RoomError) => void
}

interface LiveQuery {
  sql: string
  params: SqlParams
  told: (rows: unknown[], seq: number) => void
  failed: (error: RoomError) => void
}

const isFailure = (type: unknown) => type === "mutation_error" || type === "query_error" || type === "error"

const lost = () => new RoomError("CONNECTION_LOST", "the connection ended before the answer came")

function failure(frame: Frame): RoomError {
  const message = String(frame["error"] ?? frame["message"] ?? "the call failed")
  return new RoomError(String(frame["code"] ?? "INTERNAL"), message, frame)
}

const base = (options: RoomOptions) => options.url.replace(/\/+$/, "")

async function authorization(options: RoomOptions): Promise<{ [name: string]: string }> {
  const { token } = options
  if (token === undefined) return {}
  return { Authorization: `Bearer ${typeof token === "string" ? token : await token()}` }
}

/** A page cannot send a header with a WebSocket; it draws a ticket, which is good once. */
async function drawTicket(options: RoomOptions): Promise<string> {
  if (options.token === undefined) return ""
  const response = await fetch(`${base(options)}/v1/tickets`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(await authorization(options)) },
    body: "{}",
  })
  const answer = (await response.json()) as Frame
  if (!response.ok) throw failure(answer)
  return `&ticket=${encodeURIComponent(String(answer["ticket"]))}`
}

const isWorthATry = (error: RoomError) => error.code !== "UNAUTHORIZED" && error.code !== "FORBIDDEN"

"""Runs a bundle's Java examples: stubs of the libraries that live on a phone, and a driver."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from darkroom.bundle import ExtraFile

__all__ = ["run_java"]

STUBS = {
    "android/graphics/Bitmap": """
        public class Bitmap {
            public enum Config { ARGB_8888 }
            public int getWidth() { return 0; }
            public int getHeight() { return 0; }
            public void getPixels(int[] to, int offset, int stride, int x, int y, int w, int h) {}
        }""",
    "android/graphics/BitmapFactory": """
        public class BitmapFactory {
            public static class Options {
                public boolean inScaled, inPremultiplied;
                public Bitmap.Config inPreferredConfig;
                public ColorSpace inPreferredColorSpace;
            }
            public static Bitmap decodeByteArray(byte[] data, int from, int length, Options options) {
                return null;
            }
        }""",
    "android/graphics/ColorSpace": """
        public abstract class ColorSpace {
            public enum Named { SRGB }
            public static ColorSpace get(Named name) { return null; }
        }""",
    "android/media/ExifInterface": """
        public class ExifInterface {
            public static final String TAG_ORIENTATION = "Orientation";
            public ExifInterface(java.io.InputStream from) throws java.io.IOException {}
            public int getAttributeInt(String tag, int otherwise) { return otherwise; }
        }""",
    "org/tensorflow/lite/Interpreter": """
        public class Interpreter implements AutoCloseable {
            public static class Options {
                public Options setNumThreads(int threads) { return this; }
            }
            public Interpreter(java.nio.ByteBuffer file, Options options) {}
            public int getOutputIndex(String name) { return name.equals("probabilities") ? 1 : -1; }
            public void runForMultipleInputsOutputs(Object[] in, java.util.Map<Integer, Object> out) {
                java.nio.FloatBuffer to = (java.nio.FloatBuffer) out.get(1);
                byte first = ((java.nio.ByteBuffer) in[0]).get(0);
                while (to.hasRemaining()) to.put(first + to.position());
            }
            @Override public void close() {}
        }""",
    "ai/onnxruntime/OrtException": "public class OrtException extends Exception {}",
    "ai/onnxruntime/OnnxJavaType": "public enum OnnxJavaType { UINT8 }",
    "ai/onnxruntime/OnnxValue": """
        public interface OnnxValue extends AutoCloseable { @Override void close(); }""",
    "ai/onnxruntime/OrtEnvironment": """
        public class OrtEnvironment {
            public static OrtEnvironment getEnvironment() { return new OrtEnvironment(); }
            public OrtSession createSession(byte[] model, OrtSession.SessionOptions options)
                    throws OrtException { return new OrtSession(); }
        }""",
    "ai/onnxruntime/OnnxTensor": """
        public class OnnxTensor implements OnnxValue {
            java.nio.ByteBuffer data;
            public static OnnxTensor createTensor(OrtEnvironment environment, java.nio.ByteBuffer data,
                    long[] shape, OnnxJavaType type) throws OrtException {
                long size = 1;
                for (long side : shape) size *= side;
                if (data.remaining() != size) throw new OrtException();
                OnnxTensor made = new OnnxTensor();
                made.data = data;
                return made;
            }
            public java.nio.FloatBuffer getFloatBuffer() {
                float first = data.get(0);
                return java.nio.FloatBuffer.wrap(new float[] {first, first + 1, first + 2});
            }
            @Override public void close() {}
        }""",
    "ai/onnxruntime/OrtSession": """
        public class OrtSession implements AutoCloseable {
            public static class SessionOptions {
                public void setIntraOpNumThreads(int threads) throws OrtException {}
            }
            public static class Result implements AutoCloseable {
                OnnxValue answer;
                public java.util.Optional<OnnxValue> get(String name) {
                    return name.equals("probabilities") ? java.util.Optional.of(answer)
                        : java.util.Optional.empty();
                }
                @Override public void close() {}
            }
            public Result run(java.util.Map<String, ? extends OnnxTensor> inputs) throws OrtException {
                Result result = new Result();
                result.answer = inputs.get("image");
                return result;
            }
            @Override public void close() throws OrtException {}
        }""",
}
"""What the examples call of the libraries, with the signatures that their makers publish."""

DRIVER = """
import java.awt.image.BufferedImage;
import java.io.File;
import java.nio.file.Files;
import java.util.Arrays;
import javax.imageio.ImageIO;

final class Driver {
    public static void main(String[] words) throws Exception {
        StringBuilder said = new StringBuilder();
        for (String line : Files.readAllLines(new File(words[0]).toPath())) {
            String[] word = line.split(";");
            said.append(answer(word)).append('\\n');
        }
        Files.write(new File(words[1]).toPath(), said.toString().getBytes("UTF-8"));
    }

    private static String answer(String[] word) throws Exception {
        switch (word[0] + " " + word[1]) {
@CASES@
        }
        throw new IllegalArgumentException(word[0] + " " + word[1]);
    }

    /** The pixels of a picture as they are stored, without what ImageIO does to greys. */
    static int[] pixels(BufferedImage image) {
        int width = image.getWidth(), height = image.getHeight();
        int[] argb = image.getRGB(0, 0, width, height, null, 0, width);
        if (image.getColorModel().getNumColorComponents() != 1) return argb;
        for (int at = 0; at < argb.length; at++) { // getRGB bends greys by a profile
            int grey = image.getRaster().getSample(at % width, at / width, 0);
            if (image.getColorModel().getPixelSize() == 1) grey *= 255;
            boolean clear = image.getRaster().getNumBands() == 2;
            int alpha = clear ? image.getRaster().getSample(at % width, at / width, 1) : 255;
            argb[at] = alpha << 24 | grey << 16 | grey << 8 | grey;
        }
        return argb;
    }

    static float[] floats(String text) {
        String[] parts = text.split(" ");
        float[] values = new float[parts.length];
        for (int at = 0; at < parts.length; at++) values[at] = Float.parseFloat(parts[at]);
        return values;
    }
}
"""

TENSOR = """
            case "@CASE@ tensor": {
                BufferedImage image = ImageIO.read(new File(word[2]));
                @CASE@.Preprocessing made = new @CASE@.Preprocessing(
                    pixels(image), image.getWidth(), image.getHeight(), Integer.parseInt(word[4]));
                byte[] expected = Files.readAllBytes(new File(word[3]).toPath());
                return Arrays.equals(made.tensor, expected) ? "equal" : "differs:" + word[2];
            }"""


def run_java(
    folder: Path, cases: Mapping[str, Sequence[ExtraFile]], more: str, lines: Sequence[str]
) -> list[str]:
    """Compiles the examples of several bundles, each in a package of its own, and asks them.

    Args:
        folder: an empty folder.
        cases: package → the bundle's files.
        more: further cases of the driver's switch.
        lines: what the driver is asked, "package;question;…"; "tensor" is a question it knows.

    Returns:
        An answer per line.
    """
    if shutil.which("javac") is None or shutil.which("java") is None:
        pytest.skip("there is no Java compiler here")
    sources = []
    for package, files in cases.items():
        for file in files:
            if file.path.endswith(".java"):
                text = file.data.decode().replace("package com.example.model;", f"package {package};")
                sources.append(_written(folder / package / Path(file.path).name, text))
    for name, text in STUBS.items():
        package = Path(name).parent.as_posix().replace("/", ".")
        sources.append(_written(folder / f"{name}.java", f"package {package};\n{text}"))
    switch = "".join(TENSOR.replace("@CASE@", package) for package in cases) + more
    sources.append(_written(folder / "Driver.java", DRIVER.replace("@CASES@", switch)))
    asked, answered = _written(folder / "asked.txt", "\n".join(lines)), folder / "answered.txt"
    compiler = [
        "javac",
        "-J-XX:TieredStopAtLevel=1",
        "-Xlint:all,-serial,-path",
        "-Werror",
        "--release",
        "8",
    ]
    quiet = ["-Xlint:-options", "-encoding", "UTF-8", "-d", "."]  # release 8 itself is warned about
    machine = ["java", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true", "-cp", "."]
    for command in (
        [*compiler, *quiet, *map(str, sources)],
        [*machine, "Driver", str(asked), str(answered)],
    ):
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
    return answered.read_text(encoding="utf-8").splitlines()


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path

package com.example.model;

//? litert
import java.nio.ByteBuffer;
//? sets
import java.util.List;

//? classes masks
//? litert

//? end
/** From the bytes of a photo to the answer. */
public final class Example {
    private Example() {}
    //? litert

    /** @param model @TFLITE@, mapped from the app's assets: FileChannel.map(...) */
    public static @TYPE@ withLiteRt(ByteBuffer model, byte[] photo) throws Exception {
        try (LiteRtModel opened = new LiteRtModel(model, 2)) { // open it once in an app, and keep it
            Preprocessing prepared = Photo.prepared(photo);
            //? litert-masks
            byte[] mask = Answers.mask(opened.probabilities(prepared.tensor));
            return Answers.onPhoto(mask, prepared);
            //? litert-classes litert-sets
            return Answers.answer(opened.probabilities(prepared.tensor));
            //? litert
        }
    }
    //? onnx

    /** @param model the bytes of @ONNX@ */
    public static @TYPE@ withOnnx(byte[] model, byte[] photo) throws Exception {
        try (OnnxModel opened = new OnnxModel(model, 2)) { // open it once in an app, and keep it
            Preprocessing prepared = Photo.prepared(photo);
            //? onnx-masks
            byte[] mask = Answers.mask(opened.probabilities(prepared.tensor));
            return Answers.onPhoto(mask, prepared);
            //? onnx-classes onnx-sets
            return Answers.answer(opened.probabilities(prepared.tensor));
            //? onnx
        }
    }
    //? end
}
